use crate::fixture::*;

/// The canonical NaN of the WebAssembly specification; x86 itself makes a negative one.
#[tokio::test]
async fn nans_are_canonical() {
    let outcome = call(toolbox(), "nan", "").await.unwrap();
    assert_eq!(outcome.result, 0x7ff8_0000_0000_0000_u64);
}

/// Relaxed SIMD may fuse or not; here the answer is fixed: https://github.com/WebAssembly/relaxed-simd
#[tokio::test]
async fn relaxed_simd_has_one_answer() {
    let program = prepare(
        r#"(component
            (core module $m (func (export "f") (result i32)
                ;; 0x80000000 as f32 is out of the range of i32: the deterministic answer saturates.
                (i32x4.extract_lane 0 (i32x4.relaxed_trunc_f32x4_s (v128.const f32x4 3e9 0 0 0)))))
            (core instance $i (instantiate $m))
            (func (export "f") (result s32) (canon lift (core func $i "f"))))"#,
    );
    assert_eq!(call(&program, "f", "").await.unwrap().result, i32::MAX);
}
