use super::{Machine, TestApp};
use crate::bindings::privasys::enclave_os::auth::Host as _;
use crate::{Caller, CallerId, PlatformCtxView, TokenSubject};

const NURSE: CallerId = CallerId::Key([0x10; 32]);
const DOCTOR: CallerId = CallerId::Key([0x20; 32]);
const OWNER: CallerId = TestApp::OWNER;

#[tokio::test]
async fn a_caller_is_named_by_their_key() {
    let mut machine = Machine::new();
    let id = machine.call(Some(NURSE)).view().get_caller_id().await.unwrap();
    assert_eq!(id, Ok(format!("key:{}", "10".repeat(32))));
    let none = machine.call(None).view().get_caller_id().await.unwrap();
    assert_eq!(none.unwrap_err(), "the caller showed neither a key nor a token, so they have no id");
}

#[tokio::test]
async fn a_caller_with_a_token_has_its_roles_beside_those_that_were_given() {
    let mut machine = Machine::new();
    let id = CallerId::Token(TokenSubject::new("https://id.example", "alice").unwrap());
    let alice = Caller { id: id.clone(), roles: vec!["writes".into(), "admin".into(), "owner".into()] };
    set(&mut machine.call(Some(OWNER)).view(), id.clone(), &["reads"]).await.unwrap();
    let mut view = machine.call_of(Some(alice)).view();
    assert_eq!(view.get_caller_id().await.unwrap(), Ok("token:https://id.example#alice".to_owned()));
    assert_eq!(view.get_my_roles().await.unwrap(), Ok(vec!["reads".to_owned(), "writes".to_owned()]));
    // What was given is all that the app keeps of them.
    assert_eq!(view.get_user_roles(id.to_string()).await.unwrap(), Ok(vec!["reads".to_owned()]));
    assert_eq!(view.list_users().await.unwrap().unwrap_err(), NOT_ADMIN, "only the app gives this role");
    let users = machine.call(Some(OWNER)).view().list_users().await.unwrap().unwrap();
    assert_eq!(users, [(id.to_string(), vec!["reads".to_owned()])]);
}

#[tokio::test]
async fn whoever_deployed_with_a_token_is_the_owner() {
    let mut machine = Machine::new();
    let id = CallerId::Token(TokenSubject::new("https://id.example", "alice").unwrap());
    machine.app.set_owner(id.principal());
    let roles = machine.call(Some(id)).view().get_my_roles().await.unwrap();
    assert_eq!(roles, Ok(vec!["owner".to_owned()]));
    for other in [("https://id.example", "bob"), ("https://id.example/", "alice")] {
        let other = CallerId::Token(TokenSubject::new(other.0, other.1).unwrap());
        assert_eq!(machine.call(Some(other)).view().get_my_roles().await.unwrap(), Ok(vec![]));
    }
}

#[tokio::test]
async fn the_owner_is_the_owner_and_a_stranger_nobody() {
    let mut machine = Machine::new();
    for (caller, roles) in [(Some(OWNER), vec!["owner".to_owned()]), (Some(NURSE), vec![]), (None, vec![])] {
        assert_eq!(machine.call(caller).view().get_my_roles().await.unwrap(), Ok(roles));
    }
}

#[tokio::test]
async fn roles_are_given_replaced_listed_and_taken() {
    let mut machine = Machine::new();
    let mut owner = machine.call(Some(OWNER)).view();
    assert_eq!(set(&mut owner, NURSE, &["reads", "admin", "reads"]).await, Ok(NURSE.to_string()));
    assert_eq!(set(&mut owner, DOCTOR, &["writes"]).await, Ok(DOCTOR.to_string()));
    assert_eq!(set(&mut owner, DOCTOR, &["reads"]).await, Ok(DOCTOR.to_string()));
    let users = owner.list_users().await.unwrap().unwrap();
    assert_eq!(
        users,
        [
            (NURSE.to_string(), vec!["admin".to_owned(), "reads".to_owned()]),
            (DOCTOR.to_string(), vec!["reads".to_owned()]),
        ]
    );
    assert_eq!(owner.get_user_roles(DOCTOR.to_string()).await.unwrap(), Ok(vec!["reads".to_owned()]));
    assert_eq!(owner.remove_user_roles(DOCTOR.to_string()).await.unwrap(), Ok(DOCTOR.to_string()));
    assert_eq!(owner.get_user_roles(DOCTOR.to_string()).await.unwrap(), Ok(vec![]));
    let again = owner.remove_user_roles(DOCTOR.to_string()).await.unwrap();
    assert_eq!(again.unwrap_err(), "this user was given no roles");
    assert!(machine.has_used_storage());
    let roles = machine.call(Some(NURSE)).view().get_my_roles().await.unwrap();
    assert_eq!(roles, Ok(vec!["admin".to_owned(), "reads".to_owned()]));
}

#[tokio::test]
async fn roles_survive_a_restart() {
    let mut machine = Machine::new();
    set(&mut machine.call(Some(OWNER)).view(), NURSE, &["reads"]).await.unwrap();
    machine.restart();
    let roles = machine.call(Some(NURSE)).view().get_my_roles().await.unwrap();
    assert_eq!(roles, Ok(vec!["reads".to_owned()]));
}

#[tokio::test]
async fn an_admin_may_what_the_owner_may_until_the_role_is_taken() {
    let mut machine = Machine::new();
    set(&mut machine.call(Some(OWNER)).view(), NURSE, &["admin"]).await.unwrap();
    let mut admin = machine.call(Some(NURSE)).view();
    set(&mut admin, DOCTOR, &["reads"]).await.unwrap();
    assert_eq!(admin.list_users().await.unwrap().unwrap().len(), 2);
    admin.remove_user_roles(DOCTOR.to_string()).await.unwrap().unwrap();
    set(&mut machine.call(Some(OWNER)).view(), NURSE, &[]).await.unwrap();
    let refused = machine.call(Some(NURSE)).view().list_users().await.unwrap();
    assert_eq!(refused.unwrap_err(), NOT_ADMIN);
}

#[tokio::test]
async fn others_see_their_own_roles_and_change_nothing() {
    let mut machine = Machine::new();
    set(&mut machine.call(Some(OWNER)).view(), NURSE, &["reads"]).await.unwrap();
    let mut nurse = machine.call(Some(NURSE)).view();
    assert_eq!(nurse.get_user_roles(NURSE.to_string()).await.unwrap(), Ok(vec!["reads".to_owned()]));
    assert_eq!(nurse.get_user_roles(DOCTOR.to_string()).await.unwrap().unwrap_err(), NOT_ADMIN);
    assert_eq!(nurse.list_users().await.unwrap().unwrap_err(), NOT_ADMIN);
    assert_eq!(set(&mut nurse, NURSE, &["admin"]).await.unwrap_err(), NOT_ADMIN);
    assert_eq!(nurse.remove_user_roles(NURSE.to_string()).await.unwrap().unwrap_err(), NOT_ADMIN);

    let mut nobody = machine.call(None).view();
    assert_eq!(nobody.list_users().await.unwrap().unwrap_err(), NO_CALLER);
    assert_eq!(nobody.get_user_roles(NURSE.to_string()).await.unwrap().unwrap_err(), NO_CALLER);
    assert_eq!(set(&mut nobody, NURSE, &["admin"]).await.unwrap_err(), NO_CALLER);
    assert_eq!(nobody.remove_user_roles(NURSE.to_string()).await.unwrap().unwrap_err(), NO_CALLER);
}

#[tokio::test]
async fn the_owners_role_can_neither_be_given_nor_taken() {
    let mut machine = Machine::new();
    let mut owner = machine.call(Some(OWNER)).view();
    let refused = set(&mut owner, NURSE, &["owner"]).await;
    assert_eq!(refused.unwrap_err(), "the role `owner` is of whoever deployed the app, and cannot be given");
    assert!(owner.remove_user_roles(OWNER.to_string()).await.unwrap().is_err());
    set(&mut owner, OWNER, &["reads"]).await.unwrap();
    let roles = owner.get_user_roles(OWNER.to_string()).await.unwrap().unwrap();
    assert_eq!(roles, ["owner", "reads"]);
}

#[tokio::test]
async fn what_is_no_id_or_role_is_an_error() {
    let mut machine = Machine::new();
    let mut owner = machine.call(Some(OWNER)).view();
    for id in ["", "owner", "key:", "sub:alice", &"k".repeat(1 << 16)] {
        let id = || id.to_owned();
        assert!(owner.get_user_roles(id()).await.unwrap().unwrap_err().contains("64 hex digits"));
        assert!(owner.set_user_roles(id(), Vec::new()).await.unwrap().unwrap_err().contains("64 hex digits"));
        assert!(owner.remove_user_roles(id()).await.unwrap().unwrap_err().contains("64 hex digits"));
    }
    let long = "x".repeat(65);
    for role in ["", "a\nb", &long] {
        let refused = set(&mut owner, NURSE, &[role]).await.unwrap_err();
        assert_eq!(refused, "a role has 1 to 64 bytes and no control characters");
    }
    let many: Vec<_> = (0..33).map(|n| n.to_string()).collect();
    let refused = owner.set_user_roles(NURSE.to_string(), many).await.unwrap().unwrap_err();
    assert_eq!(refused, "a user has 32 roles at most");
    assert_eq!(owner.list_users().await.unwrap().unwrap(), []);
}

#[tokio::test]
async fn ids_in_upper_case_are_the_same_user() {
    let mut machine = Machine::new();
    let mut owner = machine.call(Some(OWNER)).view();
    let id = format!("key:{}", "AB".repeat(32));
    let roles = vec!["reads".to_owned()];
    let answered = owner.set_user_roles(id.clone(), roles.clone()).await.unwrap();
    assert_eq!(answered, Ok(id.to_lowercase()));
    assert_eq!(owner.get_user_roles(id).await.unwrap(), Ok(roles));
}

#[tokio::test]
async fn roles_cannot_be_given_where_nothing_is_kept() {
    let mut machine = Machine::without_vault();
    let mut owner = machine.call(Some(OWNER)).view();
    assert_eq!(owner.list_users().await.unwrap(), Ok(vec![]));
    let refused = set(&mut owner, NURSE, &["reads"]).await.unwrap_err();
    assert_eq!(refused, "this app has no storage, so nothing can be kept for it");
}

#[tokio::test]
async fn a_full_vault_is_told() {
    let mut machine = Machine::with_quota(200);
    let mut owner = machine.call(Some(OWNER)).view();
    set(&mut owner, NURSE, &["reads"]).await.unwrap();
    let refused = set(&mut owner, DOCTOR, &["reads"]).await.unwrap_err();
    assert_eq!(refused, "there is no more room for the app's persisted keys and roles");
}

#[tokio::test]
async fn unreadable_roles_are_none_of_an_admin() {
    let mut machine = Machine::new();
    machine.vault().set(format!("user:{NURSE}").as_bytes(), b"admin").unwrap();
    let refused = machine.call(Some(NURSE)).view().list_users().await.unwrap();
    assert_eq!(refused.unwrap_err(), "the user's roles cannot be read");
}

#[tokio::test]
async fn an_app_gives_roles_to_so_many_users_and_no_more() {
    let mut machine = Machine::new();
    let id = |n: u32| CallerId::Key([[0; 28].as_slice(), &n.to_be_bytes()].concat().try_into().unwrap());
    for batch in 0..10 {
        let users = (0..1_000).map(|n| (format!("user:{}", id(1_000 * batch + n)), b"\x01\x01a"));
        machine.vault().set_many(&users.collect::<Vec<_>>()).unwrap();
    }
    let mut owner = machine.call(Some(OWNER)).view();
    let refused = set(&mut owner, DOCTOR, &["reads"]).await.unwrap_err();
    assert_eq!(refused, "an app gives roles to 10000 users at most");
    set(&mut owner, id(5), &["reads"]).await.unwrap();
    assert_eq!(owner.list_users().await.unwrap().unwrap().len(), 10_000);
    owner.remove_user_roles(id(6).to_string()).await.unwrap().unwrap();
    set(&mut owner, DOCTOR, &["reads"]).await.unwrap();
}

async fn set(view: &mut PlatformCtxView<'_>, user: CallerId, roles: &[&str]) -> Result<String, String> {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    view.set_user_roles(user.to_string(), roles).await.unwrap()
}

const NOT_ADMIN: &str = "the caller is neither the owner nor an admin";
const NO_CALLER: &str = "the caller showed neither a key nor a token, so they have no id";
