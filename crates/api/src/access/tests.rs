use super::*;

fn rule(text: &str) -> CallerRule {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn policy(texts: &[&str]) -> CallerPolicy {
    CallerPolicy::new(texts.iter().map(|text| rule(text)).collect()).unwrap()
}

fn fault(text: &str) -> CallerRuleFault {
    text.parse::<CallerRule>().unwrap_err().why
}

#[test]
fn canonical_texts_survive() {
    let key = "a5".repeat(32);
    for text in [
        "*=public",
        "@run=owner",
        "@web=token:staff",
        "greet=token:staff/admin",
        "greet=token:staff/a/b=c",
        &format!("acme:kv/store@1.0.0-rc.1+b#put=key:{key}"),
    ] {
        assert_eq!(rule(text).to_string(), text);
        assert_eq!(serde_json::to_string(&rule(text)).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<CallerRule>(&format!("\"{text}\"")).unwrap(), rule(text));
    }
    assert_eq!(rule(&format!("*=key:{}", key.to_uppercase())).to_string(), format!("*=key:{key}"));
}

#[test]
fn other_texts_are_no_rules() {
    let long_role = format!("*=token:a/{}", "r".repeat(MAX_ROLE + 1));
    let long_issuer = format!("*=token:{}", "i".repeat(MAX_ISSUER_NAME + 1));
    let long_entry = format!("{}=public", "e".repeat(MAX_ENTRY + 1));
    for (text, expected) in [
        ("", CallerRuleFault::Form),
        ("*", CallerRuleFault::Form),
        ("=public", CallerRuleFault::Entry),
        ("@=public", CallerRuleFault::Entry),
        ("@cli=public", CallerRuleFault::Entry),
        ("**=public", CallerRuleFault::Entry),
        ("gr eet=public", CallerRuleFault::Entry),
        ("grüße=public", CallerRuleFault::Entry),
        (&long_entry, CallerRuleFault::Entry),
        ("*=", CallerRuleFault::Who),
        ("*=Public", CallerRuleFault::Who),
        ("*= public", CallerRuleFault::Who),
        ("*=operator", CallerRuleFault::Who),
        ("*=key:a5", CallerRuleFault::Key),
        ("*=token:", CallerRuleFault::Issuer),
        ("*=token:A", CallerRuleFault::Issuer),
        (&long_issuer, CallerRuleFault::Issuer),
        ("*=token:a/", CallerRuleFault::Role),
        ("*=token:a/b c", CallerRuleFault::Role),
        ("*=token:a/ö", CallerRuleFault::Role),
        (&long_role, CallerRuleFault::Role),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
    let error = "*=no-one".parse::<CallerRule>().unwrap_err().to_string();
    assert!(error.starts_with("'*=no-one' is not a caller rule: who may ask is public, owner,"), "{error}");
}

#[test]
fn a_policy_is_sorted_and_has_no_rule_twice() {
    let policy = policy(&["b=owner", "*=public", "b=owner", "@run=token:b", "a=token:a/x", "c=token:b/y"]);
    let texts: Vec<String> = policy.rules().iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["*=public", "@run=token:b", "a=token:a/x", "b=owner", "c=token:b/y"]);
    assert_eq!(policy.issuers(), ["a", "b"]);
    let json = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<CallerPolicy>(&json).unwrap(), policy);
}

#[test]
fn a_rule_for_everything_is_one_for_each_entry() {
    let policy = policy(&["*=owner", "@web=public", "greet=token:staff"]);
    let of = |entry: EntryPattern| policy.of(&entry).map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(of(EntryPattern::Run), ["owner"]);
    assert_eq!(of(EntryPattern::Web), ["owner", "public"]);
    assert_eq!(of(EntryPattern::Export("greet".into())), ["owner", "token:staff"]);
    assert_eq!(of(EntryPattern::Export("gree".into())), ["owner"]);
    // Whoever asks for whatever there is needs a rule for whatever there is.
    assert_eq!(of(EntryPattern::Any), ["owner"]);
}

/// Denied by default.
#[test]
fn nothing_said_means_the_owner_alone_and_no_rules_mean_nobody() {
    let who = |policy: &CallerPolicy| {
        [EntryPattern::Run, EntryPattern::Web, EntryPattern::Export("greet".into())]
            .map(|entry| policy.of(&entry).cloned().collect::<Vec<_>>())
    };
    assert_eq!(who(&CallerPolicy::default()), [const { [Who::Owner] }; 3].map(Vec::from));
    assert_eq!(who(&CallerPolicy::public()), [const { [Who::Public] }; 3].map(Vec::from));
    assert_eq!(who(&CallerPolicy::new(Vec::new()).unwrap()), [const { Vec::new() }; 3]);
    assert_eq!(CallerPolicy::default(), policy(&["*=owner"]));
    assert_eq!(CallerPolicy::public(), policy(&["*=public"]));
    assert!(CallerPolicy::default().is_owner_alone());
    assert!(!policy(&["*=owner", "@web=public"]).is_owner_alone() && !policy(&[]).is_owner_alone());
}

#[test]
fn policies_are_bounded_in_rules_and_in_bytes() {
    let many = |count: usize, length: usize| {
        CallerPolicy::new((0..count).map(|i| rule(&format!("e{i:0>length$}=public"))).collect())
    };
    assert_eq!(many(MAX_CALLER_RULES, 3).unwrap().rules().len(), MAX_CALLER_RULES);
    assert_eq!(many(MAX_CALLER_RULES + 1, 3), Err(InvalidCallerPolicy::TooMany(MAX_CALLER_RULES + 1)));
    assert!(many(64, 56).is_ok());
    assert_eq!(many(64, 57), Err(InvalidCallerPolicy::TooLong(64 * 65)));
}

#[test]
fn a_rule_that_no_text_gives_is_no_rule() {
    for entry in ["@run", "*", "", "a=b"] {
        let rule = CallerRule { entry: EntryPattern::Export(entry.into()), who: Who::Public };
        assert!(matches!(CallerPolicy::new(vec![rule]), Err(InvalidCallerPolicy::NotARule(_))), "{entry:?}");
    }
    let who = Who::Token { issuer: "a/b".into(), role: None };
    let rule = CallerRule { entry: EntryPattern::Any, who };
    assert!(CallerPolicy::new(vec![rule]).is_err());
}
