//! `auth`: who calls, and which roles they have.

use super::{App, Language, settings};
use cloister_client::Identity;
use cloister_tests::{Enclave, Setup, shared};
use serde_json::{Value, json};

fn id(key: &Identity) -> String {
    format!("key:{}", key.fingerprint())
}

/// Two callers, and how they are called.
async fn callers(app: &App, enclave: &Enclave) -> [(App, String); 2] {
    let keys = [Identity::generate().unwrap(), Identity::generate().unwrap()];
    [
        (app.seen_by(enclave, &keys[0]).await, id(&keys[0])),
        (app.seen_by(enclave, &keys[1]).await, id(&keys[1])),
    ]
}

async fn my_roles(app: &App) -> Value {
    app.ok("auth-get-my-roles", json!([])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_who_their_key_says() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "callers").await;
        assert_eq!(app.ok("auth-get-caller-id", json!([])).await, json!(id(shared().identity())));
        assert_eq!(my_roles(&app).await, json!(["owner"]));
        for (caller, id) in callers(&app, shared()).await {
            assert_eq!(caller.ok("auth-get-caller-id", json!([])).await, json!(id));
            assert_eq!(my_roles(&caller).await, json!([]));
        }
        let anonymous = app.anonymously(shared()).await;
        anonymous.refused("auth-get-caller-id", json!([])).await;
        assert_eq!(my_roles(&anonymous).await, json!([]));
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_gives_and_takes_roles() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "roles").await;
        let [(one, one_id), (other, other_id)] = callers(&app, shared()).await;
        assert_eq!(app.ok("auth-list-users", json!([])).await, json!([]));
        let set = async |id: &str, roles: &[&str]| app.ok("auth-set-user-roles", json!([id, roles])).await;
        assert_eq!(set(&one_id, &["nurse", "doctor", "nurse"]).await, json!(one_id));
        assert_eq!(my_roles(&one).await, json!(["doctor", "nurse"]));
        assert_eq!(one.ok("auth-get-user-roles", json!([one_id])).await, json!(["doctor", "nurse"]));
        assert_eq!(app.ok("auth-get-user-roles", json!([one_id])).await, json!(["doctor", "nurse"]));
        assert_eq!(my_roles(&other).await, json!([]));
        assert_eq!(app.ok("auth-get-user-roles", json!([other_id])).await, json!([]));
        set(&other_id, &["visitor"]).await;
        // These and no others.
        set(&one_id, &["patient"]).await;
        assert_eq!(my_roles(&one).await, json!(["patient"]));
        let mut users = [json!([one_id, ["patient"]]), json!([other_id, ["visitor"]])];
        users.sort_by_key(|user| user[0].as_str().unwrap().to_owned());
        assert_eq!(app.ok("auth-list-users", json!([])).await, json!(users));
        // The owner's own are beside being the owner.
        let owner = id(shared().identity());
        set(&owner, &["zookeeper"]).await;
        assert_eq!(my_roles(&app).await, json!(["owner", "zookeeper"]));
        app.ok("auth-remove-user-roles", json!([owner])).await;
        assert_eq!(my_roles(&app).await, json!(["owner"]));

        assert_eq!(app.ok("auth-remove-user-roles", json!([one_id])).await, json!(one_id));
        assert_eq!(my_roles(&one).await, json!([]));
        assert_eq!(app.ok("auth-list-users", json!([])).await, json!([[other_id, ["visitor"]]]));
        app.refused("auth-remove-user-roles", json!([one_id])).await;
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_does_as_the_owner_does() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "admins").await;
        let [(admin, admin_id), (other, other_id)] = callers(&app, shared()).await;
        admin.refused("auth-set-user-roles", json!([other_id, ["doctor"]])).await;
        app.ok("auth-set-user-roles", json!([admin_id, ["admin"]])).await;
        assert_eq!(my_roles(&admin).await, json!(["admin"]));
        assert_eq!(admin.ok("auth-set-user-roles", json!([other_id, ["doctor"]])).await, json!(other_id));
        assert_eq!(my_roles(&other).await, json!(["doctor"]));
        assert_eq!(admin.ok("auth-get-user-roles", json!([other_id])).await, json!(["doctor"]));
        assert_eq!(admin.ok("auth-list-users", json!([])).await.as_array().unwrap().len(), 2);
        admin.ok("auth-remove-user-roles", json!([other_id])).await;
        assert_eq!(my_roles(&other).await, json!([]));
        // Whoever was an admin is none from when the role is taken, within a session, too.
        app.ok("auth-set-user-roles", json!([admin_id, ["retired"]])).await;
        admin.refused("auth-list-users", json!([])).await;
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_gives_or_sees_roles() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "no-roles").await;
        let [(caller, caller_id), (_, other_id)] = callers(&app, shared()).await;
        app.ok("auth-set-user-roles", json!([caller_id, ["administrator", "Admin", "owners"]])).await;
        app.ok("auth-set-user-roles", json!([other_id, ["doctor"]])).await;
        let anonymous = app.anonymously(shared()).await;
        for nobody in [&caller, &anonymous] {
            nobody.refused("auth-list-users", json!([])).await;
            nobody.refused("auth-get-user-roles", json!([other_id])).await;
            for id in [&caller_id, &other_id] {
                nobody.refused("auth-set-user-roles", json!([id, ["admin"]])).await;
                nobody.refused("auth-remove-user-roles", json!([id])).await;
            }
        }
        assert_eq!(app.ok("auth-get-user-roles", json!([other_id])).await, json!(["doctor"]));
        // Roles are an app's own.
        let elsewhere = App::deploy(shared(), language, "no-roles-here").await;
        assert_eq!(elsewhere.ok("auth-list-users", json!([])).await, json!([]));
        elsewhere.remove().await;
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_bounded() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "role-bounds").await;
        let user = format!("key:{}", "ab".repeat(32));
        let roles = |count: usize| (0..count).map(|number| format!("role-{number}")).collect::<Vec<_>>();
        app.ok("auth-set-user-roles", json!([user, roles(32)])).await;
        assert_eq!(app.ok("auth-get-user-roles", json!([user])).await.as_array().unwrap().len(), 32);
        app.refused("auth-set-user-roles", json!([user, roles(33)])).await;
        app.ok("auth-set-user-roles", json!([user, ["x".repeat(64), "ü".repeat(32)]])).await;
        for bad in [String::new(), "x".repeat(65), "ü".repeat(33), "owner".to_owned()] {
            app.refused("auth-set-user-roles", json!([user, ["good", bad]])).await;
        }
        // What was refused changed nothing.
        assert_eq!(app.ok("auth-get-user-roles", json!([user])).await.as_array().unwrap().len(), 2);
        let bad_ids = [
            String::new(),
            "alice".to_owned(),
            "ab".repeat(32),
            format!("key:{}", "ab".repeat(31)),
            "x".repeat(100_000),
        ];
        for bad in bad_ids {
            app.refused("auth-set-user-roles", json!([bad, ["good"]])).await;
            app.refused("auth-get-user-roles", json!([bad])).await;
            app.refused("auth-remove-user-roles", json!([bad])).await;
        }
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_outlive_a_replacement_and_go_with_the_app() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "roles-kept").await;
        let [(caller, caller_id), _] = callers(&app, shared()).await;
        app.ok("auth-set-user-roles", json!([caller_id, ["doctor"]])).await;
        app.replace(language, &settings()).await;
        assert_eq!(my_roles(&caller).await, json!(["doctor"]));
        app.remove().await;
        let app = App::deploy(shared(), language, "roles-kept").await;
        assert_eq!(my_roles(&caller).await, json!([]));
        assert_eq!(app.ok("auth-list-users", json!([])).await, json!([]));
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_outlive_a_restart() {
    let enclave = Setup::new().start();
    let app = App::deploy(&enclave, Language::Rust, "roles-restart").await;
    let key = Identity::generate().unwrap();
    app.ok("auth-set-user-roles", json!([id(&key), ["admin", "doctor"]])).await;
    drop(app);
    let enclave = enclave.stop_and_keep().start();
    let app = App::again(&enclave, Language::Rust, "roles-restart").await;
    assert_eq!(app.ok("auth-list-users", json!([])).await, json!([[id(&key), ["admin", "doctor"]]]));
    let caller = app.seen_by(&enclave, &key).await;
    assert_eq!(my_roles(&caller).await, json!(["admin", "doctor"]));
    caller.ok("auth-remove-user-roles", json!([id(&key)])).await;
    drop((app, caller));
    let enclave = enclave.stop_and_keep().start();
    let app = App::again(&enclave, Language::Rust, "roles-restart").await;
    assert_eq!(app.ok("auth-list-users", json!([])).await, json!([]));
}
