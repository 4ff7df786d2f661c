//! Quotes of TDX virtual machines.

use super::*;

/// What the quote says of its virtual machine.
#[derive(Clone, Copy)]
pub struct Machine {
    pub mrtd: [u8; 48],
    pub debug: bool,
    pub report_data: [u8; 64],
}

impl TestPlatform {
    /// A DCAP quote, version 4.
    pub fn machine_quote(&self, machine: &Machine) -> Vec<u8> {
        let mut quote = Vec::new();
        quote.extend(4_u16.to_le_bytes());
        quote.extend(2_u16.to_le_bytes());
        quote.extend(0x81_u32.to_le_bytes());
        quote.extend([0; 4]);
        quote.extend(dcap_qvl::INTEL_QE_VENDOR_ID);
        quote.extend([0; 20]);
        quote.extend(report(machine));

        let certification = self.certification(&self.pck_der);
        let mut authentication = self.attestation.raw_signature(&quote);
        authentication.extend(&self.attestation.point[1..]);
        authentication.extend(6_u16.to_le_bytes());
        authentication.extend((certification.len() as u32).to_le_bytes());
        authentication.extend(certification);
        quote.extend((authentication.len() as u32).to_le_bytes());
        quote.extend(authentication);
        quote
    }

    /// Collateral for those, valid from 2020 to 2090, that gives the platform this status.
    pub fn machine_collateral(&self, status: &str) -> Collateral {
        let components: Vec<_> = CPUSVN.iter().map(|svn| json!({ "svn": svn })).collect();
        let zeroes = vec![json!({ "svn": 0 }); 16];
        let tcb = json!({ "sgxtcbcomponents": components, "pcesvn": 1, "tdxtcbcomponents": zeroes });
        self.signed_collateral(
            "TD_QE",
            FROM,
            json!({
                "id": "TDX", "version": 3, "issueDate": FROM, "nextUpdate": UNTIL,
                "fmspc": hex::encode(Processor::default().fmspc), "pceId": "0000", "tcbType": 0, "tcbEvaluationDataNumber": 1,
                "tdxModule": {
                    "mrsigner": "00".repeat(48), "attributes": "00".repeat(8), "attributesMask": "FF".repeat(8),
                },
                "tcbLevels": [{ "tcb": tcb, "tcbDate": FROM, "tcbStatus": status }],
            }),
        )
    }
}

/// TD report of TDX 1.0 as quotes carry it (Intel TDX DCAP quoting library API, appendix A.3.2).
fn report(machine: &Machine) -> Vec<u8> {
    let mut report = vec![0; 584];
    // TD_ATTRIBUTES: SEPT_VE_DISABLE is bit 28, DEBUG is bit 0.
    report[120] = u8::from(machine.debug);
    report[123] = 0x10;
    report[136..184].copy_from_slice(&machine.mrtd);
    report[520..].copy_from_slice(&machine.report_data);
    report
}
