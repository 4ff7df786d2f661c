use crate::fixture::{from_json, from_wave, to_json, to_wave, ty, value_types};
use cloister_values::{EncodeError, result_to_json, result_to_wave};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;
use wasmtime::component::{Type, Val};

/// Any value of the type.
fn any_value(ty: &Type) -> BoxedStrategy<Val> {
    let boxed = |ty: &Type| any_value(ty).prop_map(|value| Some(Box::new(value))).boxed();
    let payload = |ty: Option<Type>| match ty {
        Some(ty) => boxed(&ty),
        None => Just(None).boxed(),
    };
    match ty {
        Type::Bool => any::<bool>().prop_map(Val::Bool).boxed(),
        Type::S8 => any::<i8>().prop_map(Val::S8).boxed(),
        Type::U8 => any::<u8>().prop_map(Val::U8).boxed(),
        Type::S16 => any::<i16>().prop_map(Val::S16).boxed(),
        Type::U16 => any::<u16>().prop_map(Val::U16).boxed(),
        Type::S32 => any::<i32>().prop_map(Val::S32).boxed(),
        Type::U32 => any::<u32>().prop_map(Val::U32).boxed(),
        Type::S64 => any::<i64>().prop_map(Val::S64).boxed(),
        Type::U64 => any::<u64>().prop_map(Val::U64).boxed(),
        Type::Float32 => any::<u32>().prop_map(|bits| Val::Float32(f32::from_bits(bits))).boxed(),
        Type::Float64 => any::<u64>().prop_map(|bits| Val::Float64(f64::from_bits(bits))).boxed(),
        Type::Char => any::<char>().prop_map(Val::Char).boxed(),
        Type::String => any::<String>().prop_map(Val::String).boxed(),
        Type::List(list) => vec(any_value(&list.ty()), 0..4).prop_map(Val::List).boxed(),
        Type::FixedLengthList(list) => {
            vec(any_value(&list.ty()), list.len() as usize).prop_map(Val::FixedLengthList).boxed()
        }
        Type::Map(map) => {
            let entries = vec((any_value(&map.key()), any_value(&map.value())), 0..4);
            let distinct = |mut entries: Vec<(Val, Val)>| {
                entries.sort_by_key(|(key, _)| to_wave(key));
                entries.dedup_by(|a, b| a.0 == b.0);
                Val::Map(sorted_by_text(entries))
            };
            entries.prop_map(distinct).boxed()
        }
        Type::Tuple(tuple) => {
            tuple.types().map(|ty| any_value(&ty)).collect::<Vec<_>>().prop_map(Val::Tuple).boxed()
        }
        Type::Record(record) => {
            let names: Vec<String> = record.fields().map(|field| field.name.to_owned()).collect();
            let values: Vec<_> = record.fields().map(|field| any_value(&field.ty)).collect();
            values.prop_map(move |values| Val::Record(names.iter().cloned().zip(values).collect())).boxed()
        }
        Type::Variant(variant) => Union::new(variant.cases().map(|case| {
            let name = case.name.to_owned();
            payload(case.ty).prop_map(move |payload| Val::Variant(name.clone(), payload)).boxed()
        }))
        .boxed(),
        Type::Enum(cases) => Union::new(cases.names().map(|name| Just(Val::Enum(name.to_owned())))).boxed(),
        Type::Option(option) => {
            prop_oneof![Just(Val::Option(None)), boxed(&option.ty()).prop_map(Val::Option)].boxed()
        }
        Type::Result(result) => prop_oneof![
            payload(result.ok()).prop_map(|payload| Val::Result(Ok(payload))),
            payload(result.err()).prop_map(|payload| Val::Result(Err(payload))),
        ]
        .boxed(),
        Type::Flags(flags) => {
            let names: Vec<String> = flags.names().map(str::to_owned).collect();
            vec(any::<bool>(), names.len())
                .prop_map(move |set| {
                    let set = names.iter().zip(set).filter(|(_, set)| *set);
                    Val::Flags(set.map(|(name, _)| name.clone()).collect())
                })
                .boxed()
        }
        Type::Own(_) | Type::Borrow(_) | Type::Future(_) | Type::Stream(_) | Type::ErrorContext => {
            panic!("no value of this type can be made")
        }
    }
}

/// JSON objects come out in the order of their keys.
fn sorted_by_text(mut entries: Vec<(Val, Val)>) -> Vec<(Val, Val)> {
    entries.sort_by(|(a, _), (b, _)| match (a, b) {
        (Val::String(a), Val::String(b)) => a.cmp(b),
        _ => to_wave(a).cmp(&to_wave(b)),
    });
    entries
}

/// One of the fixture's types and a value of it.
fn typed_value() -> impl Strategy<Value = (&'static Type, Val)> {
    let types: Vec<&'static Type> = value_types().map(|(_, ty)| ty).collect();
    proptest::sample::select(types).prop_flat_map(|ty| any_value(ty).prop_map(move |value| (ty, value)))
}

/// Texts that are nearly those of values: one with a few bytes changed, removed or repeated.
fn nearly(text: fn(&Val) -> String) -> impl Strategy<Value = (&'static Type, Vec<u8>)> {
    let edits = vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 1..4);
    (typed_value(), edits).prop_map(move |((ty, value), edits)| {
        let mut text = text(&value).into_bytes();
        for (place, edit, byte) in edits {
            let place = place.index(text.len().max(1)).min(text.len());
            match edit {
                0 => text.insert(place, b"[]{}(),:\"\\'%-eE09.\n/"[usize::from(byte) % 20]),
                1 if place < text.len() => text[place] = byte,
                2 => text.truncate(place),
                _ => text.extend_from_within(place..),
            }
        }
        (ty, text)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn json_brings_every_value_back((ty, value) in typed_value()) {
        let json = to_json(&value);
        prop_assert_eq!(from_json(ty, &json), Ok(value), "{}", json);
    }

    #[test]
    fn wave_brings_every_value_back((ty, value) in typed_value()) {
        let wave = to_wave(&value);
        prop_assert_eq!(from_wave(ty, &wave), Ok(value), "{}", wave);
    }

    #[test]
    fn limits_count_the_bytes_of_the_text((_, value) in typed_value()) {
        let json = to_json(&value).len();
        prop_assert!(result_to_json(Some(&value), json).is_ok());
        prop_assert_eq!(result_to_json(Some(&value), json - 1), Err(EncodeError::TooLarge { limit: json - 1 }));
        let wave = to_wave(&value).len();
        prop_assert!(result_to_wave(Some(&value), wave).is_ok());
        prop_assert_eq!(result_to_wave(Some(&value), wave - 1), Err(EncodeError::TooLarge { limit: wave - 1 }));
    }

    #[test]
    fn nearly_json_is_a_value_or_an_error((ty, text) in nearly(to_json)) {
        let body = [b"[".as_slice(), &text, b"]"].concat();
        let params = [cloister_values::Parameter { name: "v", ty }];
        if let Ok(mut values) = cloister_values::arguments_from_json(&body, &params) {
            let value = values.remove(0);
            prop_assert_eq!(from_json(ty, &to_json(&value)), Ok(value));
        }
    }

    #[test]
    fn nearly_wave_is_a_value_or_an_error((ty, text) in nearly(to_wave)) {
        let text = String::from_utf8_lossy(&text);
        if let Ok(value) = from_wave(ty, &text) {
            prop_assert_eq!(from_wave(ty, &to_wave(&value)), Ok(value));
        }
    }

    #[test]
    fn any_text_is_a_value_or_an_error(text in any::<String>(), bytes in vec(any::<u8>(), 0..64)) {
        for (_, ty) in value_types() {
            let _ = from_wave(ty, &text);
            let _ = from_json(ty, &text);
            let params = [cloister_values::Parameter { name: "v", ty }];
            let _ = cloister_values::arguments_from_json(&bytes, &params);
        }
    }

    #[test]
    fn errors_stay_short(text in "[a-z\\[\\]{}\",:0-9 ]{0,400}") {
        for function in ["t-tree", "t-bytes", "t-person", "t-color"] {
            for error in [from_json(ty(function), &text).err(), from_wave(ty(function), &text).err()] {
                prop_assert!(error.is_none_or(|error| error.to_string().len() < 1000));
            }
        }
    }
}
