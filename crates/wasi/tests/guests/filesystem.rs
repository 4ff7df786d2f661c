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

#[tokio::test]
async fn a_guest_that_imports_every_kind_of_function_links() {
    let guest = Guest {
        world: "import wasi:filesystem/types@W; import wasi:filesystem/preopens@W; export run: func() -> u32;",
        imports: r#"
            (import "wasi:filesystem/preopens@W" "get-directories" (func (param i32)))
            (import "wasi:filesystem/types@W" "[method]descriptor.read" (func (param i32 i64 i64 i32)))
            (import "wasi:filesystem/types@W" "[method]descriptor.open-at"
                (func (param i32 i32 i32 i32 i32 i32 i32)))
            (import "wasi:filesystem/types@W" "[method]descriptor.read-via-stream" (func (param i32 i64 i32)))
            (import "wasi:filesystem/types@W" "[method]directory-entry-stream.read-directory-entry"
                (func (param i32 i32)))
            (import "wasi:filesystem/types@W" "filesystem-error-code" (func (param i32 i32)))
            (import "wasi:filesystem/types@W" "[resource-drop]descriptor" (func (param i32)))"#,
        body: r#"(func (export "run") (result i32) (i32.const 3))"#,
    };
    assert_eq!(guest.run::<_, u32>(WasiCtx::builder(), ()).await.unwrap(), 3);
}
