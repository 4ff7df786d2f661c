//! `fields` of `wasi:http/types`: headers and trailers.

use std::sync::Arc;

use cloister_egress::{Budget, Share};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use wasmtime::component::{Resource, ResourceTableError};

use crate::bindings::wasi::http::types::{HeaderError, HostFields};
use crate::error::HeaderFailure;
use crate::{Error, HttpCtxView};

/// Header or trailer fields. A clone shares them until one of the two changes.
#[derive(Clone, Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct Fields {
    held: Arc<Held>,
    access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Mutable,
    Immutable,
}

/// Fields and what they take of the call's budget.
#[derive(Debug)]
struct Held {
    map: HeaderMap,
    share: Share,
}

impl Fields {
    /// No fields, to be changed.
    pub(crate) fn empty(budget: &Budget) -> Result<Self, Error> {
        Self::holding(HeaderMap::new(), Access::Mutable, budget)
    }

    /// Fields that came over a connection, as the guest sees them: without those that are about the connection.
    pub(crate) fn received(mut map: HeaderMap, budget: &Budget) -> Result<Self, Error> {
        for name in &FORBIDDEN {
            map.remove(name);
        }
        Self::holding(map, Access::Immutable, budget)
    }

    fn holding(map: HeaderMap, access: Access, budget: &Budget) -> Result<Self, Error> {
        let size = map.iter().map(|(name, value)| cost(name, value.as_bytes())).sum();
        let share = budget.take(size).ok_or(Error::TooManyFields)?;
        Ok(Self { held: Arc::new(Held { map, share }), access })
    }

    /// The same fields, never to be changed.
    pub(crate) fn frozen(self) -> Self {
        Self { access: Access::Immutable, ..self }
    }

    pub(crate) fn map(&self) -> &HeaderMap {
        &self.held.map
    }

    pub(crate) fn into_map(self) -> HeaderMap {
        Arc::try_unwrap(self.held).map_or_else(|held| held.map.clone(), |held| held.map)
    }

    /// Bytes, as [`cost`] counts them.
    pub(crate) fn size(&self) -> usize {
        self.held.share.amount()
    }

    /// The value of `content-length`. What a guest sets is one number or none.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.map().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    fn append(&mut self, name: &str, value: Vec<u8>) -> Result<(), HeaderFailure> {
        let name = settable(name)?;
        self.check_mutable()?;
        let value = parsed_value(&name, value)?;
        // Peers disagree on which of two lengths counts, and with it on where the message ends.
        if name == header::CONTENT_LENGTH && self.map().contains_key(&name) {
            return Err(HeaderError::InvalidSyntax.into());
        }
        let held = self.held_alone()?;
        held.resize(held.share.amount() + cost(&name, value.as_bytes()))?;
        held.map.append(name, value);
        Ok(())
    }

    fn set(&mut self, name: &str, values: Vec<Vec<u8>>) -> Result<(), HeaderFailure> {
        let name = settable(name)?;
        self.check_mutable()?;
        if name == header::CONTENT_LENGTH && values.len() > 1 {
            return Err(HeaderError::InvalidSyntax.into());
        }
        let values: Result<Vec<_>, _> = values.into_iter().map(|value| parsed_value(&name, value)).collect();
        let values = values?;
        let held = self.held_alone()?;
        let added: usize = values.iter().map(|value| cost(&name, value.as_bytes())).sum();
        held.resize(held.share.amount() - held.cost_of(&name) + added)?;
        held.map.remove(&name);
        for value in values {
            held.map.append(&name, value);
        }
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<(), HeaderFailure> {
        let name = settable(name)?;
        self.check_mutable()?;
        let held = self.held_alone()?;
        held.resize(held.share.amount() - held.cost_of(&name))?;
        held.map.remove(&name);
        Ok(())
    }

    fn check_mutable(&self) -> Result<(), HeaderError> {
        match self.access {
            Access::Mutable => Ok(()),
            Access::Immutable => Err(HeaderError::Immutable),
        }
    }

    /// What this one alone holds: a copy where it was shared.
    fn held_alone(&mut self) -> Result<&mut Held, Error> {
        if Arc::get_mut(&mut self.held).is_none() {
            let share = self.held.share.another().ok_or(Error::TooManyFields)?;
            self.held = Arc::new(Held { map: self.held.map.clone(), share });
        }
        Ok(Arc::get_mut(&mut self.held).expect("it was just made, or is not shared"))
    }
}

impl Held {
    fn cost_of(&self, name: &HeaderName) -> usize {
        self.map.get_all(name).iter().map(|value| cost(name, value.as_bytes())).sum()
    }

    fn resize(&mut self, size: usize) -> Result<(), Error> {
        if size > MAX_FIELDS_BYTES && size > self.share.amount() {
            return Err(Error::FieldsTooLarge);
        }
        if self.share.resize(size) { Ok(()) } else { Err(Error::TooManyFields) }
    }
}

/// A name that a guest may set.
fn settable(name: &str) -> Result<HeaderName, HeaderError> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::InvalidSyntax)?;
    if FORBIDDEN.contains(&name) { Err(HeaderError::Forbidden) } else { Ok(name) }
}

fn parsed_value(name: &HeaderName, value: Vec<u8>) -> Result<HeaderValue, HeaderError> {
    if *name == header::CONTENT_LENGTH {
        // RFC 9110, section 8.6: Content-Length = 1*DIGIT.
        let digits = value.iter().all(u8::is_ascii_digit).then_some(value);
        let length = digits.and_then(|digits| String::from_utf8(digits).ok()?.parse::<u64>().ok());
        return length.map(HeaderValue::from).ok_or(HeaderError::InvalidSyntax);
    }
    HeaderValue::try_from(value).map_err(|_| HeaderError::InvalidSyntax)
}

/// What a field takes: RFC 9113, section 6.5.2 counts its name, its value and 32 bytes.
fn cost(name: &HeaderName, value: &[u8]) -> usize {
    name.as_str().len() + value.len() + 32
}

impl HostFields for HttpCtxView<'_> {
    async fn new(&mut self) -> wasmtime::Result<Resource<Fields>> {
        self.charge(0).await?;
        Ok(self.table.push(Fields::empty(&self.ctx.fields)?)?)
    }

    async fn from_list(
        &mut self,
        entries: Vec<(String, Vec<u8>)>,
    ) -> Result<Resource<Fields>, HeaderFailure> {
        let bytes = entries.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
        self.charge(bytes).await?;
        let mut fields = Fields::empty(&self.ctx.fields)?;
        for (name, value) in entries {
            fields.append(&name, value)?;
        }
        Ok(self.table.push(fields)?)
    }

    async fn get(&mut self, fields: Resource<Fields>, name: String) -> wasmtime::Result<Vec<Vec<u8>>> {
        self.charge(name.len()).await?;
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { return Ok(Vec::new()) };
        let fields = self.table.get(&fields)?;
        self.fuel.charge_bytes(fields.held.cost_of(&name) as u64).await?;
        Ok(fields.map().get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect())
    }

    async fn has(&mut self, fields: Resource<Fields>, name: String) -> wasmtime::Result<bool> {
        self.charge(name.len()).await?;
        let fields = self.table.get(&fields)?;
        Ok(HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| fields.map().contains_key(name)))
    }

    async fn set(
        &mut self,
        fields: Resource<Fields>,
        name: String,
        values: Vec<Vec<u8>>,
    ) -> Result<(), HeaderFailure> {
        let bytes = values.iter().map(|value| name.len() + value.len() + 32).sum();
        self.charge(bytes).await?;
        self.changed(&fields).await?.set(&name, values)
    }

    async fn delete(&mut self, fields: Resource<Fields>, name: String) -> Result<(), HeaderFailure> {
        self.charge(name.len()).await?;
        self.changed(&fields).await?.delete(&name)
    }

    async fn append(
        &mut self,
        fields: Resource<Fields>,
        name: String,
        value: Vec<u8>,
    ) -> Result<(), HeaderFailure> {
        self.charge(name.len() + value.len()).await?;
        self.changed(&fields).await?.append(&name, value)
    }

    async fn entries(&mut self, fields: Resource<Fields>) -> wasmtime::Result<Vec<(String, Vec<u8>)>> {
        let fields = self.table.get(&fields)?;
        self.fuel.charge_call(fields.size() as u64).await?;
        let entry =
            |(name, value): (&HeaderName, &HeaderValue)| (name.to_string(), value.as_bytes().to_vec());
        Ok(fields.map().iter().map(entry).collect())
    }

    async fn clone(&mut self, fields: Resource<Fields>) -> wasmtime::Result<Resource<Fields>> {
        self.charge(0).await?;
        let fields = Fields { access: Access::Mutable, ..self.table.get(&fields)?.clone() };
        Ok(self.table.push(fields)?)
    }

    async fn drop(&mut self, fields: Resource<Fields>) -> wasmtime::Result<()> {
        self.table.delete(fields)?;
        Ok(())
    }
}

impl HttpCtxView<'_> {
    /// Fields that are about to change. Pays for the copy where they are shared.
    async fn changed(&mut self, fields: &Resource<Fields>) -> Result<&mut Fields, HeaderFailure> {
        let fields = self.table.get_mut(fields)?;
        if fields.access == Access::Mutable && Arc::strong_count(&fields.held) > 1 {
            self.fuel.charge_bytes(fields.size() as u64).await?;
        }
        Ok(fields)
    }

    /// Hands out the fields of `parent`, as its child.
    pub(crate) fn push_headers<T: 'static>(
        &mut self,
        fields: Fields,
        parent: &Resource<T>,
    ) -> Result<Resource<Fields>, ResourceTableError> {
        self.table.push_child(fields.frozen(), parent)
    }
}

/// What one `fields` may hold: names, values, and 32 bytes for each field.
pub const MAX_FIELDS_BYTES: usize = 128 << 10;
/// What all `fields` of a call may hold together.
pub const MAX_HELD_FIELDS_BYTES: usize = 4 << 20;
/// Fields that are about the connection, which is the host's, and the one that says to whom a request goes. Guests of
/// other hosts cannot set these either.
const FORBIDDEN: [HeaderName; 9] = [
    header::CONNECTION,
    header::HOST,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
