use std::ops::Range;

use rcgen::{BasicConstraints, CertificateParams, CustomExtension, IsCa, SerialNumber};

/// What a server's certificate is to say: that it is good for some names now, unless it is told otherwise.
#[derive(Clone, Debug)]
pub struct Certificate {
    names: Vec<String>,
    /// From the first day of the first year to the first day of the last.
    years: Range<i32>,
    is_authority: bool,
    extensions: Vec<CustomExtension>,
}

impl Certificate {
    /// Good for these names and addresses.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names = names.into_iter().map(str::to_owned).collect();
        Self { names, years: 2024..4000, is_authority: false, extensions: Vec::new() }
    }

    /// It was good until 2001.
    pub fn expired(self) -> Self {
        Self { years: 2000..2001, ..self }
    }

    /// It is good from 3999 on.
    pub fn not_yet_valid(self) -> Self {
        Self { years: 3999..4000, ..self }
    }

    /// It is marked as an authority's, as those are that `openssl req -x509` makes.
    pub fn of_an_authority(self) -> Self {
        Self { is_authority: true, ..self }
    }

    /// It has these extensions besides: each an object identifier and its contents in DER.
    pub fn with_extensions(self, extensions: &[(&[u64], Vec<u8>)]) -> Self {
        let extension =
            |(oid, contents): &(&[u64], Vec<u8>)| CustomExtension::from_oid_content(oid, contents.clone());
        Self { extensions: extensions.iter().map(extension).collect(), ..self }
    }

    pub(crate) fn into_parameters(self) -> CertificateParams {
        let mut parameters = CertificateParams::new(self.names).expect("the names are valid");
        parameters.not_before = rcgen::date_time_ymd(self.years.start, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(self.years.end, 1, 1);
        parameters.serial_number = Some(SerialNumber::from(vec![1]));
        parameters.custom_extensions = self.extensions;
        if self.is_authority {
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        parameters
    }
}

impl From<&str> for Certificate {
    fn from(name: &str) -> Self {
        Self::of([name])
    }
}

impl<const COUNT: usize> From<[&str; COUNT]> for Certificate {
    fn from(names: [&str; COUNT]) -> Self {
        Self::of(names)
    }
}
