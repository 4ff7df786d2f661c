use cloister_wasi::{Exit, WasiCtx};

use crate::guest::Guest;

#[tokio::test]
async fn the_environment_arrives_in_its_order() {
    let guest = Guest {
        world: "import wasi:cli/environment@W; export run: func() -> list<tuple<string, string>>;",
        imports: r#"(import "wasi:cli/environment@W" "get-environment" (func $get (param i32)))"#,
        body: r#"(func (export "run") (result i32) (call $get (i32.const 16)) (i32.const 16))"#,
    };
    let none: Vec<(String, String)> = guest.run(WasiCtx::builder(), ()).await.unwrap();
    assert!(none.is_empty());
    let variables = [("Z", "1"), ("A", "größer"), ("EMPTY", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    let seen: Vec<(String, String)> =
        guest.run(WasiCtx::builder().environment(variables.clone()), ()).await.unwrap();
    assert_eq!(seen, variables);
}

#[tokio::test]
async fn the_arguments_arrive_in_their_order() {
    let guest = Guest {
        world: "import wasi:cli/environment@W; export run: func() -> list<string>;",
        imports: r#"(import "wasi:cli/environment@W" "get-arguments" (func $get (param i32)))"#,
        body: r#"(func (export "run") (result i32) (call $get (i32.const 16)) (i32.const 16))"#,
    };
    let arguments = ["program", "-v", ""].map(str::to_owned);
    let seen: Vec<String> = guest.run(WasiCtx::builder().arguments(arguments.clone()), ()).await.unwrap();
    assert_eq!(seen, arguments);
}

const WORKING_DIRECTORY: Guest<'_> = Guest {
    world: "import wasi:cli/environment@W; export run: func() -> option<string>;",
    imports: r#"(import "wasi:cli/environment@W" "initial-cwd" (func $get (param i32)))"#,
    body: r#"(func (export "run") (result i32) (call $get (i32.const 16)) (i32.const 16))"#,
};

#[tokio::test]
async fn there_is_no_working_directory() {
    let none = WORKING_DIRECTORY.run::<_, Option<String>>(WasiCtx::builder(), ()).await;
    assert_eq!(none.unwrap(), None);
}

#[tokio::test]
async fn a_working_directory_is_that_of_the_settings() {
    let ctx = WasiCtx::builder().initial_directory(Some("/data/größer".into()));
    let directory = WORKING_DIRECTORY.run::<_, Option<String>>(ctx, ()).await;
    assert_eq!(directory.unwrap().as_deref(), Some("/data/größer"));
}

#[tokio::test]
async fn there_is_no_terminal() {
    for stream in ["stdin", "stdout", "stderr"] {
        let world = format!("import wasi:cli/terminal-{stream}@W; export run: func() -> u32;");
        let imports = format!(
            r#"(import "wasi:cli/terminal-{stream}@W" "get-terminal-{stream}" (func $get (param i32)))"#
        );
        let body = r#"(func (export "run") (result i32)
            (i32.store8 (i32.const 16) (i32.const 7))
            (call $get (i32.const 16))
            (i32.load8_u (i32.const 16)))"#;
        let guest = Guest { world: &world, imports: &imports, body };
        assert_eq!(guest.run::<_, u32>(WasiCtx::builder(), ()).await.unwrap(), 0, "{stream}");
    }
}

#[tokio::test]
async fn exit_ends_the_call_with_success_or_failure() {
    let guest = Guest {
        world: "import wasi:cli/exit@W; export run: func(failed: u32) -> u32;",
        imports: r#"(import "wasi:cli/exit@W" "exit" (func $exit (param i32)))"#,
        body: r#"(func (export "run") (param i32) (result i32) (call $exit (local.get 0)) (i32.const 5))"#,
    };
    for (failed, code) in [(0u32, 0), (1, 1)] {
        let ended = guest.run::<_, u32>(WasiCtx::builder(), (failed,)).await.unwrap_err();
        assert_eq!(ended.downcast_ref(), Some(&Exit { code }));
    }
}

#[tokio::test]
async fn exit_with_code_keeps_the_code() {
    let guest = Guest {
        world: "import wasi:cli/exit@W; export run: func(code: u32) -> u32;",
        imports: r#"(import "wasi:cli/exit@W" "exit-with-code" (func $exit (param i32)))"#,
        body: r#"(func (export "run") (param i32) (result i32) (call $exit (local.get 0)) (i32.const 5))"#,
    };
    for code in [0u8, 42, 255] {
        let ended = guest.run::<_, u32>(WasiCtx::builder(), (u32::from(code),)).await.unwrap_err();
        assert_eq!(ended.downcast_ref(), Some(&Exit { code }));
    }
}
