//! Random sequences of operations: the filesystem answers as a model and as Linux do.

use cloister_volume::Quota;
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError},
};

use crate::{
    fixture::{self, LARGE, dump, memory},
    model::Model,
    operations::{Action, Subject, action},
    sealed::Sealed,
    tmpfs::Tmpfs,
};

/// `PROPTEST_CASES` sets another number of cases.
fn config(cases: u32) -> Config {
    let cases = std::env::var_os("PROPTEST_CASES").map_or(cases, |_| Config::default().cases);
    Config { failure_persistence: None, cases, max_shrink_iters: 4000, ..Config::default() }
}

/// Both answer alike. What Linux would do outside of the directory is not tried.
fn compare(sealed: &mut Sealed, other: &mut dyn Subject, action: &Action) -> Result<(), TestCaseError> {
    let answer = sealed.act(action);
    if matches!(&answer, Err(error) if error == "NotPermitted") {
        return Ok(());
    }
    let expected = other.act(action);
    prop_assert_eq!(answer, expected, "{:?}", action);
    Ok(())
}

fn whole_tree(subject: &mut dyn Subject) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut to_visit = vec![".".to_owned()];
    while let Some(path) = to_visit.pop() {
        let Ok(crate::operations::Value::List(entries)) = subject.act(&Action::List { path: path.clone() })
        else {
            panic!("{path} cannot be listed");
        };
        for (name, kind) in entries {
            let below = format!("{path}/{name}");
            let mut what = format!("{:?}", subject.act(&Action::Stat { path: below.clone(), follow: false }));
            match kind {
                'd' => to_visit.push(below.clone()),
                'l' => what += &format!("{:?}", subject.act(&Action::ReadLink { path: below.clone() })),
                _ => {
                    let how = crate::operations::How::Existing;
                    let open = Action::Open { slot: 0, path: below.clone(), how, follow: false };
                    let read = Action::Read { slot: 0, offset: 0, length: 400_000 };
                    what += &format!("{:?}{:?}", subject.act(&open), subject.act(&read));
                }
            }
            found.push((below, what));
        }
    }
    found
}

proptest! {
    #![proptest_config(config(1200))]

    #[test]
    fn answers_are_those_of_linux(actions in prop::collection::vec(action(), 1..120)) {
        let mut sealed = Sealed::new(memory(), LARGE);
        let mut tmpfs = Tmpfs::new();
        for action in &actions {
            if is_beyond_std(action, &mut sealed) {
                continue;
            }
            compare(&mut sealed, &mut tmpfs, action)?;
        }
        prop_assert_eq!(whole_tree(&mut sealed), whole_tree(&mut tmpfs));
        fixture::assert_consistent(sealed.filesystem());
    }
}

proptest! {
    #![proptest_config(config(1200))]

    #[test]
    fn answers_are_those_of_the_model(
        actions in prop::collection::vec(action(), 1..120),
        blocks in prop_oneof![3 => Just(1_u64 << 18), 1 => 10_u64..60],
        objects in prop_oneof![3 => Just(1_u64 << 20), 1 => 2_u64..8],
    ) {
        let quota = Quota { bytes: blocks * 4096, objects };
        let mut sealed = Sealed::new(memory(), quota);
        let mut model = Model::new(quota);
        for action in &actions {
            let answer = sealed.act(action);
            let expected = model.act(action);
            prop_assert_eq!(answer, expected, "{:?}", action);
            prop_assert_eq!(sealed.filesystem().usage(), model.usage(), "{:?}", action);
        }
        prop_assert_eq!(whole_tree(&mut sealed), whole_tree(&mut model));
        fixture::assert_consistent(sealed.filesystem());
        let before = dump(sealed.filesystem());
        sealed.act(&Action::Remount).map_err(TestCaseError::fail)?;
        prop_assert_eq!(dump(sealed.filesystem()), before);
        let report = sealed.filesystem().verify().map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!((report.orphans, report.inconsistencies), (0, vec![]));
    }
}

/// What `std::fs` does another way than the call that it is named after: a link's own times, and opening for times.
fn is_beyond_std(action: &Action, sealed: &mut Sealed) -> bool {
    match action {
        Action::SetTimes { follow: false, path, .. } => {
            let stat = Action::Stat { path: path.clone(), follow: false };
            !matches!(sealed.act(&stat), Ok(crate::operations::Value::Stat { kind: 'f' | 'd', .. }))
        }
        _ => false,
    }
}
