use super::text::{payload_type, text_value};
use super::{count_rest, counted, refused, twice};
use crate::decode::{Budget, Mismatch, Step, integer, is_option, quoted, record};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;
use wasmtime::component::{Type, Val};

/// Decodes one value of a type.
pub(super) struct ValueSeed<'a, 'c> {
    pub(super) ty: &'a Type,
    pub(super) context: &'a mut Context<'c>,
}

impl<'c> ValueSeed<'_, 'c> {
    fn part<'b>(context: &'b mut Context<'c>, ty: &'b Type) -> ValueSeed<'b, 'c> {
        ValueSeed { ty, context }
    }

    fn refuse<T, E: de::Error>(self, given: impl Into<String>) -> Result<T, E> {
        Err(self.context.refuse(Mismatch::of(self.ty, given)))
    }

    fn integer<E: de::Error>(self, number: i128, given: impl fmt::Display) -> Result<Val, E> {
        match integer(self.ty, number) {
            Some(value) => Ok(value),
            None => self.refuse(format!("the number {given}")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_> {
    type Value = Val;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Val, D::Error> {
        let charged = self.context.budget.charge_value();
        self.context.accept(charged)?;
        match self.ty {
            Type::Option(option) if !is_option(&option.ty()) => {
                let inner = option.ty();
                deserializer.deserialize_option(OptionVisitor { inner: &inner, context: self.context })
            }
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_> {
    type Value = Val;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Val, E> {
        match self.ty {
            Type::Option(_) => Ok(Val::Option(None)),
            _ => self.refuse("null"),
        }
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Val, E> {
        match self.ty {
            Type::Bool => Ok(Val::Bool(value)),
            _ => self.refuse(value.to_string()),
        }
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Val, E> {
        match self.ty {
            Type::Float32 => Ok(Val::Float32(number as f32)),
            Type::Float64 => Ok(Val::Float64(number as f64)),
            _ => self.integer(number.into(), number),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Val, E> {
        match self.ty {
            Type::Float32 => Ok(Val::Float32(number as f32)),
            Type::Float64 => Ok(Val::Float64(number as f64)),
            _ => self.integer(number.into(), number),
        }
    }

    /// JSON does not tell 1 from 1.0 (RFC 8259, section 6), so whole numbers are integers while they are exact.
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Val, E> {
        match self.ty {
            Type::Float64 => Ok(Val::Float64(number)),
            Type::Float32 if (number as f32).is_finite() => Ok(Val::Float32(number as f32)),
            _ if number.fract() == 0.0 && number.abs() <= MAX_EXACT_INTEGER => {
                self.integer(number as i128, number)
            }
            _ => self.refuse(format!("the number {number:?}")),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Val, E> {
        match text_value(self.ty, text, self.context.budget) {
            Ok(value) => Ok(value),
            Err(mismatch) => Err(self.context.refuse(mismatch)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Val, A::Error> {
        match self.ty {
            Type::List(list) => {
                let (_, values) = self.list(&list.ty(), None, seq)?;
                Ok(Val::List(values))
            }
            Type::FixedLengthList(list) => {
                let length = list.len() as usize;
                let (ty, context) = (self.ty, &mut *self.context);
                let (count, values) = ValueSeed::part(context, ty).list(&list.ty(), Some(length), seq)?;
                if count != length {
                    return self.refuse(counted(count, "an array of"));
                }
                Ok(Val::FixedLengthList(values))
            }
            Type::Tuple(tuple) => {
                let types: Vec<Type> = tuple.types().collect();
                self.tuple(types, seq)
            }
            Type::Flags(_) => self.flags(seq),
            Type::Map(map) if !matches!(map.key(), Type::String) => self.pairs([map.key(), map.value()], seq),
            _ => self.refuse("an array"),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Val, A::Error> {
        match self.ty {
            Type::Record(fields) => {
                let fields = fields.fields().map(|field| (field.name, field.ty)).collect();
                self.record(fields, map)
            }
            Type::Map(ty) if matches!(ty.key(), Type::String) => self.string_map(&ty.value(), map),
            Type::Map(_) => self.empty_map(map),
            Type::Variant(_) | Type::Result(_) | Type::Option(_) => self.tagged(map),
            _ => self.refuse("an object"),
        }
    }
}

impl ValueSeed<'_, '_> {
    /// The elements, no more than `most` of them, and how many there were.
    fn list<'de, A: SeqAccess<'de>>(
        self,
        element: &Type,
        most: Option<usize>,
        mut seq: A,
    ) -> Result<(usize, Vec<Val>), A::Error> {
        let mut values = Vec::new();
        while most.is_none_or(|most| values.len() < most) {
            let next = seq.next_element_seed(ValueSeed::part(self.context, element));
            match self.context.within(next, || Step::Index(values.len()))? {
                Some(value) => values.push(value),
                None => return Ok((values.len(), values)),
            }
        }
        Ok((values.len() + count_rest(&mut seq)?, values))
    }

    fn tuple<'de, A: SeqAccess<'de>>(self, types: Vec<Type>, mut seq: A) -> Result<Val, A::Error> {
        let mut values = Vec::with_capacity(types.len());
        for ty in &types {
            let next = seq.next_element_seed(ValueSeed::part(self.context, ty));
            match self.context.within(next, || Step::Index(values.len()))? {
                Some(value) => values.push(value),
                None => return self.refuse(counted(values.len(), "an array of")),
            }
        }
        match count_rest(&mut seq)? {
            0 => Ok(Val::Tuple(values)),
            surplus => self.refuse(counted(values.len() + surplus, "an array of")),
        }
    }

    fn flags<'de, A: SeqAccess<'de>>(self, mut seq: A) -> Result<Val, A::Error> {
        let Type::Flags(flags) = self.ty else {
            return self.refuse("an array");
        };
        let mut set = BTreeSet::new();
        let mut index = 0;
        while let Some(name) = {
            let next = seq.next_element_seed(ValueSeed::part(self.context, &Type::String));
            self.context.within(next, || Step::Index(index))?
        } {
            let Val::String(name) = name else {
                return self.refuse("an array");
            };
            let place = flags.names().position(|known| known == name);
            let searched = self.context.budget.charge_search(flags.names().len());
            self.context.accept(searched)?;
            let Some(place) = place else {
                let unknown = Mismatch::unknown_name(self.ty, "the unknown flag", &name, flags.names());
                return Err(self.context.refuse(unknown));
            };
            if !set.insert(place) {
                return self.refuse(format!("the flag {} twice", quoted(&name)));
            }
            index += 1;
        }
        let names = flags.names().enumerate().filter(|(place, _)| set.contains(place));
        Ok(Val::Flags(names.map(|(_, name)| name.to_owned()).collect()))
    }

    fn pairs<'de, A: SeqAccess<'de>>(self, types: [Type; 2], mut seq: A) -> Result<Val, A::Error> {
        let mut entries = Vec::new();
        loop {
            let seed = PairSeed { types: &types, seed: ValueSeed::part(self.context, self.ty) };
            let next = seq.next_element_seed(seed);
            match self.context.within(next, || Step::Index(entries.len()))? {
                Some(entry) => entries.push(entry),
                None => return Ok(Val::Map(entries)),
            }
        }
    }

    fn record<'de, A: MapAccess<'de>>(self, fields: Vec<(&str, Type)>, mut map: A) -> Result<Val, A::Error> {
        let charged = self.context.budget.charge_fields(&fields);
        self.context.accept(charged)?;
        let mut values: Vec<Option<Val>> = fields.iter().map(|_| None).collect();
        let mut next = 0;
        while let Some(name) = map.next_key::<String>()? {
            // Most senders keep the declared order: only others pay for a search.
            let in_order = fields.get(next).is_some_and(|(field, _)| *field == name);
            let place = if in_order {
                Some(next)
            } else {
                let searched = self.context.budget.charge_search(fields.len());
                self.context.accept(searched)?;
                fields.iter().position(|(field, _)| *field == name)
            };
            let found = place.and_then(|place| Some((place, fields.get(place)?, values.get_mut(place)?)));
            let Some((place, (_, ty), value)) = found else {
                let known = fields.iter().map(|(field, _)| *field);
                return Err(self.context.refuse(Mismatch::unknown_name(
                    self.ty,
                    "the unknown field",
                    &name,
                    known,
                )));
            };
            if value.is_some() {
                return Err(self.context.refuse(twice(ty, "field").within(Step::Name(name))));
            }
            let decoded = map.next_value_seed(ValueSeed::part(self.context, ty));
            *value = Some(self.context.within(decoded, || Step::Name(name))?);
            next = place + 1;
        }
        self.context.accept(record(fields, values))
    }

    fn string_map<'de, A: MapAccess<'de>>(self, ty: &Type, mut map: A) -> Result<Val, A::Error> {
        let mut entries = Vec::new();
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            // The key is held twice while the map is read.
            let charged = self.context.budget.charge(2 * (size_of::<Val>() + key.len()));
            self.context.accept(charged)?;
            if !seen.insert(key.clone()) {
                return self.refuse(format!("the key {} twice", quoted(&key)));
            }
            let value = map.next_value_seed(ValueSeed::part(self.context, ty));
            let value = self.context.within(value, || Step::Index(entries.len()))?;
            entries.push((Val::String(key), value));
        }
        Ok(Val::Map(entries))
    }

    /// `{}`, which is how every map without entries is written.
    fn empty_map<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Val, A::Error> {
        match map.next_key::<IgnoredAny>()? {
            None => Ok(Val::Map(Vec::new())),
            Some(_) => self.refuse("an object"),
        }
    }

    /// A variant, a result or the `some` of an option in an option: an object of one key.
    fn tagged<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Val, A::Error> {
        let Some(tag) = map.next_key::<String>()? else {
            return self.refuse("an empty object");
        };
        let payload = payload_type(self.ty, &tag, self.context.budget);
        let payload = match self.context.accept(payload)? {
            Some(ty) => {
                let value = map.next_value_seed(ValueSeed::part(self.context, &ty));
                Some(Box::new(self.context.within(value, || Step::Name(tag.clone()))?))
            }
            None if map.next_value::<Option<IgnoredAny>>()?.is_none() => None,
            None => return self.refuse(format!("a payload for {}, which has none", quoted(&tag))),
        };
        if map.next_key::<IgnoredAny>()?.is_some() {
            return self.refuse("an object of more than one key");
        }
        match self.ty {
            Type::Variant(_) => Ok(Val::Variant(tag, payload)),
            Type::Option(_) => Ok(Val::Option(payload)),
            Type::Result(_) if tag == "ok" => Ok(Val::Result(Ok(payload))),
            Type::Result(_) => Ok(Val::Result(Err(payload))),
            _ => self.refuse("an object"),
        }
    }
}

/// `null` or the value of an option whose own values are never `null`.
struct OptionVisitor<'a, 'c> {
    inner: &'a Type,
    context: &'a mut Context<'c>,
}

impl<'de> Visitor<'de> for OptionVisitor<'_, '_> {
    type Value = Val;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E: de::Error>(self) -> Result<Val, E> {
        Ok(Val::Option(None))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Val, E> {
        Ok(Val::Option(None))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Val, D::Error> {
        let value = ValueSeed { ty: self.inner, context: self.context }.deserialize(deserializer)?;
        Ok(Val::Option(Some(Box::new(value))))
    }
}

/// `[key, value]`, an entry of a map whose keys are no strings.
struct PairSeed<'a, 'c> {
    types: &'a [Type; 2],
    seed: ValueSeed<'a, 'c>,
}

impl<'de> DeserializeSeed<'de> for PairSeed<'_, '_> {
    type Value = (Val, Val);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl PairSeed<'_, '_> {
    fn refuse<T, E: de::Error>(self, given: &str) -> Result<T, E> {
        self.seed.refuse(given)
    }
}

impl<'de> Visitor<'de> for PairSeed<'_, '_> {
    type Value = (Val, Val);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of a key and a value")
    }

    refuse_scalars!(refuse);

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        self.refuse("an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let [key, value] = self.types;
        let ValueSeed { ty: map, context } = self.seed;
        let mut part = |ty, index| {
            let next = seq.next_element_seed(ValueSeed::part(context, ty));
            match context.within(next, || Step::Index(index))? {
                Some(value) => Ok(value),
                None => Err(context.refuse(Mismatch::of(ty, "nothing").within(Step::Index(index)))),
            }
        };
        let entry = (part(key, 0)?, part(value, 1)?);
        match count_rest(&mut seq)? {
            0 => Ok(entry),
            surplus => Err(context.refuse(Mismatch::of(map, counted(2 + surplus, "an entry of")))),
        }
    }
}

/// What decoding one argument carries along.
pub(super) struct Context<'a> {
    pub(super) budget: &'a mut Budget,
    pub(super) mismatch: Option<Mismatch>,
}

impl Context<'_> {
    fn refuse<E: de::Error>(&mut self, mismatch: Mismatch) -> E {
        self.mismatch = Some(mismatch);
        refused()
    }

    fn accept<T, E: de::Error>(&mut self, outcome: Result<T, Mismatch>) -> Result<T, E> {
        outcome.map_err(|mismatch| self.refuse(mismatch))
    }

    /// Notes the step that led to a value that was refused.
    fn within<T, E>(&mut self, outcome: Result<T, E>, step: impl FnOnce() -> Step) -> Result<T, E> {
        if outcome.is_err() {
            self.mismatch = self.mismatch.take().map(|mismatch| mismatch.within(step()));
        }
        outcome
    }
}

/// 2^53: up to it, an `f64` holds every integer (IEEE 754).
const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;
