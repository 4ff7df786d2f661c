use super::*;

/// A CPU of tests: its reports are what a real one's say, under a MAC that follows from its secret and their target.
struct Machine {
    secret: u8,
    identity: Identity,
}

impl Machine {
    fn new(secret: u8, mrenclave: u8) -> Self {
        let identity = Identity {
            mrenclave: [mrenclave; 32],
            mrsigner: [9; 32],
            isv_prod_id: 1,
            isv_svn: 1,
            debug: false,
        };
        Self { secret, identity }
    }

    fn debug(self) -> Self {
        Self { identity: Identity { debug: true, ..self.identity }, ..self }
    }

    fn mac(&self, target: &[u8; 32], said: &[u8]) -> [u8; 32] {
        Sha256::new_with_prefix([self.secret]).chain_update(target).chain_update(said).finalize().into()
    }

    fn target(identity: &Identity) -> TargetInfo {
        let mut attributes = [0; 16];
        attributes[0] = 5 | u8::from(identity.debug) << 1;
        TargetInfo { mrenclave: identity.mrenclave, attributes, miscselect: 0 }
    }
}

impl Cpu for Machine {
    fn identity(&self) -> Result<Identity, NotAnEnclave> {
        Ok(self.identity)
    }

    fn target_info(&self) -> Result<TargetInfo, NotAnEnclave> {
        Ok(Self::target(&self.identity))
    }

    fn report(
        &self,
        target: &TargetInfo,
        data: &[u8; REPORT_DATA_LEN],
    ) -> Result<Box<[u8; REPORT_LEN]>, NotAnEnclave> {
        let mut report = Box::new([0; REPORT_LEN]);
        report[..32].copy_from_slice(&self.identity.mrenclave);
        report[32] = u8::from(self.identity.debug);
        report[64..128].copy_from_slice(data);
        let mac = self.mac(&target.mrenclave, &report[..400]);
        report[400..].copy_from_slice(&mac);
        Ok(report)
    }

    fn verify(&self, report: &[u8; REPORT_LEN]) -> Result<VerifiedReport, ReportError> {
        if self.mac(&self.identity.mrenclave, &report[..400]) != report[400..] {
            return Err(ReportError::NotAuthentic);
        }
        let mut identity = self.identity;
        identity.mrenclave.copy_from_slice(&report[..32]);
        identity.debug = report[32] == 1;
        let mut report_data = [0; REPORT_DATA_LEN];
        report_data.copy_from_slice(&report[64..128]);
        Ok(VerifiedReport { identity, target: Self::target(&identity), report_data })
    }
}

const OLD: u8 = 0xa0;
const NEW: u8 = 0xb0;
const OTHER: u8 = 0xc0;

fn key() -> Result<VolumeKey, ExchangeError> {
    Ok(VolumeKey::new([7; 16], Zeroizing::new([8; 32])))
}

fn never() -> Result<VolumeKey, ExchangeError> {
    panic!("the volume's key was taken for an image that may not have it")
}

fn machines() -> (Machine, Machine) {
    (Machine::new(1, OLD), Machine::new(1, NEW))
}

/// Up to the third message.
fn handed_over(old: &Machine, new: &Machine) -> (Requested, Given) {
    let offered = Offered::new(old).unwrap();
    let (requested, request) = Requested::new(new, offered.message().clone()).unwrap();
    let (given, to) = offered.hand_over(old, &request, &ImageUpgrade::Operator, key).unwrap();
    assert_eq!(to, new.identity);
    (requested, given)
}

#[test]
fn the_key_arrives_and_the_messenger_sees_none_of_it() {
    let (old, new) = machines();
    let (requested, given) = handed_over(&old, &new);
    assert!(!given.sealed.windows(8).any(|window| window == [8; 8]));
    let (key, from) = requested.receive(&new, &given).unwrap();
    assert_eq!((key.volume(), **key.bytes(), from), ([7; 16], [8; 32], [OLD; 32]));
}

#[test]
fn an_image_that_the_rule_does_not_name_gets_nothing() {
    let (old, new) = machines();
    for (rule, refusal) in [
        (ImageUpgrade::Never, Refusal::Never),
        (
            ImageUpgrade::listed(vec![cloister_api::ImageDigest::from_bytes([OTHER; 32])]).unwrap(),
            Refusal::Unlisted([NEW; 32]),
        ),
    ] {
        let offered = Offered::new(&old).unwrap();
        let (_, request) = Requested::new(&new, offered.message().clone()).unwrap();
        let refused = offered.hand_over(&old, &request, &rule, never).err();
        assert_eq!(refused, Some(ExchangeError::Refused(refusal)));
    }
}

#[test]
fn debug_enclaves_neither_get_nor_give() {
    let (old, new) = machines();
    let debug = Machine::new(1, NEW).debug();
    let offered = Offered::new(&old).unwrap();
    let (_, request) = Requested::new(&debug, offered.message().clone()).unwrap();
    let refused = offered.hand_over(&old, &request, &ImageUpgrade::Operator, never).err();
    assert_eq!(refused, Some(ExchangeError::Refused(Refusal::Debug)));

    let (requested, given) = handed_over(&old.debug(), &new);
    assert_eq!(requested.receive(&new, &given).err(), Some(ExchangeError::FromDebug));
}

#[test]
fn another_cpu_is_refused_at_both_ends() {
    let (old, new) = machines();
    let elsewhere = Machine::new(2, NEW);
    let offered = Offered::new(&old).unwrap();
    let (_, request) = Requested::new(&elsewhere, offered.message().clone()).unwrap();
    let refused = offered.hand_over(&old, &request, &ImageUpgrade::Operator, never).err();
    assert_eq!(refused, Some(ExchangeError::Report(ReportError::NotAuthentic)));

    let (requested, given) = handed_over(&old, &new);
    let refused = requested.receive(&elsewhere, &given).err();
    assert_eq!(refused, Some(ExchangeError::Report(ReportError::NotAuthentic)));
}

#[test]
fn a_messenger_that_changes_anything_gets_nothing_through() {
    let (old, new) = machines();
    let other = Machine::new(1, OTHER);
    let secret = draw().unwrap();

    // Its own key in the place of either image's.
    let offered = Offered::new(&old).unwrap();
    let offer = Offer { key: secret.public_key().as_bytes(), ..offered.message().clone() };
    let (_, request) = Requested::new(&new, offer).unwrap();
    let refused = offered.hand_over(&old, &request, &ImageUpgrade::Operator, never).err();
    assert_eq!(refused, Some(ExchangeError::OtherExchange));
    let offered = Offered::new(&old).unwrap();
    let (_, request) = Requested::new(&new, offered.message().clone()).unwrap();
    let request = Request { key: secret.public_key().as_bytes(), ..request };
    let refused = offered.hand_over(&old, &request, &ImageUpgrade::Operator, never).err();
    assert_eq!(refused, Some(ExchangeError::OtherExchange));

    // Another image's report in the place of the new one's, and another's answer in the place of the old one's.
    let offered = Offered::new(&old).unwrap();
    let (_, theirs) = Requested::new(&other, offered.message().clone()).unwrap();
    let (_, request) = Requested::new(&new, offered.message().clone()).unwrap();
    let mixed = Request { report: theirs.report, key: request.key };
    let refused = offered.hand_over(&old, &mixed, &ImageUpgrade::Operator, never).err();
    assert_eq!(refused, Some(ExchangeError::OtherExchange));
    let offered = Offered::new(&old).unwrap();
    let (requested, request) = Requested::new(&new, offered.message().clone()).unwrap();
    let third =
        Offered { offer: Offer { target: other.target_info().unwrap(), ..offered.offer.clone() }, ..offered };
    let refused = third.hand_over(&other, &request, &ImageUpgrade::Operator, never).err();
    assert_eq!(
        refused,
        Some(ExchangeError::Report(ReportError::NotAuthentic)),
        "it is for the old image alone"
    );
    drop(requested);

    for change in [
        (|given: &mut Given| given.volume[0] ^= 1) as fn(&mut Given),
        |given| given.sealed[0] ^= 1,
        |given| given.sealed[47] ^= 1,
        |given| given.report[64] ^= 1,
        |given| given.report[431] ^= 1,
    ] {
        let (requested, mut given) = handed_over(&old, &new);
        change(&mut given);
        assert!(requested.receive(&new, &given).is_err());
    }
}

#[test]
fn messages_of_an_earlier_exchange_are_of_no_use() {
    let (old, new) = machines();
    let (_, before) = handed_over(&old, &new);
    let offered = Offered::new(&old).unwrap();
    let (requested, _) = Requested::new(&new, offered.message().clone()).unwrap();
    assert_eq!(requested.receive(&new, &before).err(), Some(ExchangeError::OtherExchange));

    let (_, request) = Requested::new(&new, offered.message().clone()).unwrap();
    let later = Offered::new(&old).unwrap();
    let refused = later.hand_over(&old, &request, &ImageUpgrade::Operator, never).err();
    assert_eq!(refused, Some(ExchangeError::OtherExchange));
}

#[test]
fn keys_of_small_order_are_refused() {
    let (old, new) = machines();
    let offered = Offered::new(&old).unwrap();
    // The identity: every secret times it is zero (RFC 7748, section 6.1). The new image's own code never sends it.
    let transcript = Transcript::of(&offered.offer.key, &[0; 32], &[OLD; 32], &[NEW; 32]);
    let report = new.report(&offered.offer.target, &transcript.request()).unwrap();
    let refused =
        offered.hand_over(&old, &Request { report, key: [0; 32] }, &ImageUpgrade::Operator, never).err();
    assert_eq!(refused, Some(ExchangeError::BadKey));
}
