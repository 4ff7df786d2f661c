//! Power cuts: a commit of the volume may fall between any two changes of its object.

use std::collections::BTreeMap;

use super::pages::MemoryPages;
use super::{app, complete};
use crate::kv::{KEY_COST, KeyValue, Namespace};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;
/// Changes the store, and the model likewise.
type Step<'a> = dyn Fn(&KeyValue, &mut Model) + 'a;

/// Runs `steps`, and opens what there is after each change of the pages: it is the state before or after the step that
/// made the change.
fn cut_everywhere(steps: &[&Step<'_>]) {
    let pages = MemoryPages::default();
    let mut states = vec![(0, Model::new())];
    {
        let store = pages.store();
        states.push((pages.changes(), Model::new()));
        for step in steps {
            let mut model = states.last().unwrap().1.clone();
            step(&store, &mut model);
            states.push((pages.changes(), model));
        }
    }
    let cut = MemoryPages::default();
    let mut step = 0;
    for (done, change) in pages.log().iter().enumerate() {
        while states.get(step + 1).is_some_and(|(end, _)| *end <= done) {
            step += 1;
        }
        let after = states.get(step + 1).map(|(_, model)| model);
        let found = contents(&app(&cut.fork().store(), "app:a"));
        assert!(found == states[step].1 || Some(&found) == after, "after {done} changes, in step {step}");
        cut.apply(change);
    }
    assert_eq!(contents(&app(&cut.store(), "app:a")), states.last().unwrap().1);
}

/// Everything in a namespace, after a look that its usage is right.
fn contents(keys: &Namespace) -> Model {
    let names = keys.list(None, 1000).unwrap().keys;
    let model: Model =
        names.into_iter().map(|name| (name.clone(), keys.get(&name).unwrap().unwrap())).collect();
    let usage = keys.usage().unwrap();
    let bytes = model.iter().map(|(name, value)| KEY_COST + (name.len() + value.len()) as u64).sum::<u64>();
    assert_eq!((usage.keys, usage.bytes), (model.len() as u64, bytes));
    model
}

fn set(name: String, value: Vec<u8>) -> impl Fn(&KeyValue, &mut Model) {
    move |store, model| {
        app(store, "app:a").set(name.as_bytes(), &value).unwrap();
        model.insert(name.clone().into_bytes(), value.clone());
    }
}

#[test]
fn every_cut_of_single_writes_leaves_a_whole_state() {
    let mut steps: Vec<Box<Step<'_>>> = Vec::new();
    for n in 0..24_u8 {
        steps.push(Box::new(set(format!("key{}", n % 10), vec![n; usize::from(n) * 37])));
    }
    for n in [3, 4] {
        steps.push(Box::new(move |store, model| {
            let name = format!("key{n}");
            assert!(app(store, "app:a").delete(name.as_bytes()).unwrap());
            model.remove(name.as_bytes());
        }));
    }
    steps.push(Box::new(|store, model| {
        app(store, "app:a").increment(b"number", 7).unwrap();
        model.insert(b"number".to_vec(), b"7".to_vec());
    }));
    cut_everywhere(&steps.iter().map(|step| &**step).collect::<Vec<_>>());
}

#[test]
fn every_cut_of_batches_and_large_values_leaves_a_whole_state() {
    let batch = |store: &KeyValue, model: &mut Model| {
        let round = model.len() as u8;
        let pairs: Vec<_> = (0..120).map(|n| (format!("{n:03}").into_bytes(), vec![round; 90])).collect();
        app(store, "app:a").set_many(&pairs).unwrap();
        model.extend(pairs);
    };
    let large = set("large".to_owned(), vec![5; 300_000]);
    let delete = |store: &KeyValue, model: &mut Model| {
        let names: Vec<_> = model.keys().filter(|name| name[0] == b'0').cloned().collect();
        app(store, "app:a").delete_many(&names).unwrap();
        model.retain(|name, _| name[0] != b'0');
    };
    cut_everywhere(&[&batch, &large, &delete, &batch, &large]);
}

#[test]
fn every_cut_of_a_removal_can_be_gone_on_from() {
    let pages = MemoryPages::default();
    let store = pages.store();
    let pairs: Vec<_> = (0..700).map(|n| (n.to_string(), "v")).collect();
    app(&store, "app:a").set_many(&pairs).unwrap();
    app(&store, "app:b").set(b"k", b"v").unwrap();
    let (cut, before) = (pages.fork(), pages.changes());
    assert_eq!(store.remove_namespace("app:a").unwrap(), complete(700));
    for change in &pages.log()[before..] {
        cut.apply(change);
        let store = cut.fork().store();
        let left = app(&store, "app:a").list(None, 1000).unwrap().keys.len() as u64;
        // The namespace's record was one of the first 500.
        assert!([700, 201, 0].contains(&left), "{left}");
        assert_eq!(store.remove_namespace("app:a").unwrap(), complete(left));
        assert_eq!(app(&store, "app:b").get(b"k").unwrap().unwrap(), b"v");
    }
}

#[test]
fn opening_after_a_cut_reads_little() {
    let pages = MemoryPages::default();
    let store = pages.store();
    let keys = app(&store, "app:a");
    for start in (0..20_000).step_by(1000) {
        let pairs: Vec<_> = (start..start + 1000).map(|n: u32| (n.to_string(), [0; 100])).collect();
        keys.set_many(&pairs).unwrap();
    }
    let cut = pages.fork();
    cut.store();
    assert!(cut.reads() < 30, "{}", cut.reads());
}
