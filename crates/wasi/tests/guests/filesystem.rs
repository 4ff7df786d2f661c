use cloister_wasi::WasiCtx;

use crate::guest::Guest;

#[tokio::test]
async fn no_directory_is_open() {
    let guest = Guest {
        world: "import wasi:filesystem/types@W; import wasi:filesystem/preopens@W; export run: func() -> u32;",
        imports: r#"(import "wasi:filesystem/preopens@W" "get-directories" (func $get (param i32)))"#,
        body: r#"(func (export "run") (result i32)
            (i64.store (i32.const 16) (i64.const -1))
            (call $get (i32.const 16))
            (i32.load (i32.const 20)))"#,
    };
    assert_eq!(guest.run::<_, u32>(WasiCtx::builder(), ()).await.unwrap(), 0);
}
