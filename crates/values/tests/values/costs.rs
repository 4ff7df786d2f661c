use crate::fixture::{from_json, from_wave, ty};
use cloister_values::{
    ArgumentError, EncodeError, MAX_ARGUMENT_COST, argument_cost, result_to_json, result_to_wave,
};
use std::time::Instant;
use wasmtime::component::Val;

#[test]
fn a_megabyte_of_bytes_goes_through() {
    let numbers = format!("[{}]", vec!["137"; 1 << 20].join(","));
    let base64 = format!("\"{}\"", "iYmJ".repeat((1 << 20) / 3));
    let time = |name: &str, work: &dyn Fn()| {
        let start = Instant::now();
        work();
        println!("{name}: {:?}", start.elapsed());
    };
    let value = from_json(ty("t-bytes"), &numbers).unwrap();
    time("1 MiB list<u8>, JSON numbers to value", &|| {
        assert!(from_json(ty("t-bytes"), &numbers).is_ok());
    });
    time("1 MiB list<u8>, JSON base64 to value", &|| {
        assert!(from_json(ty("t-bytes"), &base64).is_ok());
    });
    time("1 MiB list<u8>, WAVE to value", &|| {
        assert!(from_wave(ty("t-bytes"), &numbers).is_ok());
    });
    time("1 MiB list<u8>, value to JSON", &|| {
        assert!(result_to_json(Some(&value), 8 << 20).is_ok());
    });
    time("1 MiB list<u8>, value to WAVE", &|| {
        assert!(result_to_wave(Some(&value), 8 << 20).is_ok());
    });
    let records = format!("[{}]", vec![r#"{"a":1,"b":2,"h":3}"#; 10_000].join(","));
    time("10,000 records of 8 fields, JSON to value", &|| {
        assert!(from_json(ty("t-many-sparse"), &records).is_ok());
    });
}

#[test]
fn small_text_cannot_become_large_values() {
    let records = format!("[{}]", vec!["{}"; 400_000].join(","));
    let refused = |given: Result<Val, ArgumentError>| match given {
        Err(error @ ArgumentError::TooLarge { limit }) => {
            assert!(
                limit >= argument_cost(records.len()) && limit < 2 * argument_cost(records.len()),
                "{limit}"
            );
            assert_eq!(
                error.to_string(),
                format!("the arguments are too large: their values cost more than {limit} bytes of memory")
            );
        }
        other => panic!("{other:?}"),
    };
    refused(from_json(ty("t-many-sparse"), &records));
    let wave = format!("[{}]", vec!["{:}"; 400_000].join(","));
    refused(from_wave(ty("t-many-sparse"), &wave));
}

#[test]
fn many_elements_and_long_base64_reach_the_bound_before_they_are_made() {
    let too_large = Err(ArgumentError::TooLarge { limit: MAX_ARGUMENT_COST });
    let most = MAX_ARGUMENT_COST / size_of::<Val>();
    let numbers = format!("[{}0]", "0,".repeat(most));
    assert_eq!(from_json(ty("t-bytes"), &numbers), too_large);
    assert_eq!(from_wave(ty("t-bytes"), &numbers), too_large);
    let base64 = format!("\"{}\"", "AAAA".repeat(most / 3 + 1));
    assert_eq!(from_json(ty("t-bytes"), &base64), too_large);
}

#[test]
fn an_argument_just_below_the_bound_is_taken() {
    let most = MAX_ARGUMENT_COST / size_of::<Val>();
    let numbers = format!("[{}0]", "0,".repeat(most / 2));
    let Ok(Val::List(values)) = from_json(ty("t-bytes"), &numbers) else { panic!("refused") };
    assert_eq!(values.len(), most / 2 + 1);
}

#[test]
fn encoding_stops_at_the_limit() {
    let value = Val::List(vec![Val::String("x".repeat(1000)); 1000]);
    for limit in [0, 1, 1000, 1_000_000] {
        let too_large = EncodeError::TooLarge { limit };
        assert_eq!(result_to_json(Some(&value), limit), Err(too_large));
        assert_eq!(result_to_wave(Some(&value), limit), Err(too_large));
    }
}
