use crate::decode::{
    Budget, Mismatch, Step, complete, integer, is_option, named_float, nearest, quoted, record,
};
use crate::{ArgumentError, Parameter};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;
use wasmtime::component::{Type, Val};

/// The arguments of a call from its JSON body: an object by parameter name or an array by position. An empty body is
/// a call without arguments. Parameters whose type is an option may be left out.
///
/// # Errors
/// See [`ArgumentError`]; [`ArgumentError::MalformedWave`] does not occur.
pub fn arguments_from_json(body: &[u8], params: &[Parameter<'_>]) -> Result<Vec<Val>, ArgumentError> {
    if body.trim_ascii().is_empty() {
        return complete([], params);
    }
    let mut failure = None;
    let mut json = serde_json::Deserializer::from_slice(body);
    let arguments = Arguments { params, budget: Budget::new(), failure: &mut failure };
    let given = arguments.deserialize(&mut json).and_then(|given| json.end().map(|()| given));
    match given {
        Ok(given) => complete(given, params),
        Err(error) => Err(failure.unwrap_or_else(|| malformed(&error))),
    }
}

fn malformed(error: &serde_json::Error) -> ArgumentError {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let detail = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text).to_owned();
    ArgumentError::Malformed { line, column, detail }
}

/// The visits of what is neither an array nor an object, all refused by one method with the kind of the value.
macro_rules! refuse_scalars {
    ($method:ident) => {
        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            self.$method("null")
        }

        fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
            self.$method("a boolean")
        }

        fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
            self.$method("a number")
        }

        fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
            self.$method("a number")
        }

        fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
            self.$method("a number")
        }

        fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
            self.$method("a string")
        }
    };
}

/// The whole body. Why it was refused is put into `failure`, since errors of the parser carry text alone.
struct Arguments<'a> {
    params: &'a [Parameter<'a>],
    budget: Budget,
    failure: &'a mut Option<ArgumentError>,
}

impl Arguments<'_> {
    fn fail<E: de::Error>(&mut self, failure: ArgumentError) -> E {
        *self.failure = Some(failure);
        refused()
    }

    fn not_arguments<T, E: de::Error>(self, given: &str) -> Result<T, E> {
        Err(E::custom(format_args!("expected {EXPECTED_BODY}, given {given}")))
    }

    /// Runs one seed for the argument of one parameter.
    fn argument<E>(
        &mut self,
        parameter: &Parameter<'_>,
        read: impl FnOnce(ValueSeed<'_, '_>) -> Result<Val, E>,
    ) -> Result<Val, E> {
        let mut context = Context { budget: &mut self.budget, mismatch: None };
        let value = read(ValueSeed { ty: parameter.ty, context: &mut context });
        if let Some(mismatch) = context.mismatch {
            *self.failure = Some(mismatch.into_error(parameter.name));
        }
        value
    }
}

impl<'de> DeserializeSeed<'de> for Arguments<'_> {
    type Value = Vec<Option<Val>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Arguments<'_> {
    type Value = Vec<Option<Val>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED_BODY)
    }

    refuse_scalars!(not_arguments);

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let params = self.params;
        let mut given: Vec<Option<Val>> = params.iter().map(|_| None).collect();
        while let Some(name) = map.next_key::<String>()? {
            let place = params.iter().zip(&mut given).find(|(parameter, _)| parameter.name == name);
            let Some((parameter, value)) = place else {
                let suggestions = nearest(&name, params.iter().map(|parameter| parameter.name));
                let name = name.chars().take(MAX_UNKNOWN_NAME).collect();
                return Err(self.fail(ArgumentError::Unknown { name, suggestions }));
            };
            if value.is_some() {
                return Err(self.fail(twice(parameter.ty, "argument").into_error(parameter.name)));
            }
            *value = Some(self.argument(parameter, |seed| map.next_value_seed(seed))?);
        }
        Ok(given)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut given = Vec::new();
        for parameter in self.params {
            let mut ended = false;
            let value = self.argument(parameter, |seed| {
                let value = seq.next_element_seed(seed)?;
                ended = value.is_none();
                Ok(value.unwrap_or(Val::Bool(false)))
            })?;
            if ended {
                return Ok(given);
            }
            given.push(Some(value));
        }
        let surplus = count_rest(&mut seq)?;
        if surplus > 0 {
            let expected_count = given.len();
            return Err(self.fail(ArgumentError::TooMany {
                expected_count,
                given_count: expected_count + surplus,
            }));
        }
        Ok(given)
    }
}

/// What decoding one argument carries along.
struct Context<'a> {
    budget: &'a mut Budget,
    mismatch: Option<Mismatch>,
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

/// Decodes one value of a type.
struct ValueSeed<'a, 'c> {
    ty: &'a Type,
    context: &'a mut Context<'c>,
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
        self.context.budget.charge_value().or_else(|mismatch| Err(self.context.refuse(mismatch)))?;
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
        let Type::Flags(flags) = self.ty else { return self.refuse("an array") };
        let mut set = BTreeSet::new();
        let mut index = 0;
        while let Some(name) = {
            let next = seq.next_element_seed(ValueSeed::part(self.context, &Type::String));
            self.context.within(next, || Step::Index(index))?
        } {
            let Val::String(name) = name else { return self.refuse("an array") };
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

    fn record<'de, A: MapAccess<'de>>(
        self,
        fields: Vec<(&str, Type)>,
        mut map: A,
    ) -> Result<Val, A::Error> {
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

    /// A variant, a result or the `some` of an option in an option: an object of one key.
    fn tagged<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Val, A::Error> {
        let Some(tag) = map.next_key::<String>()? else { return self.refuse("an empty object") };
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

/// The value of a type for which JSON has a string.
fn text_value(ty: &Type, text: &str, budget: &mut Budget) -> Result<Val, Mismatch> {
    let refused = || Mismatch::of(ty, format!("the string {}", quoted(text)));
    match ty {
        Type::String => {
            budget.charge(text.len())?;
            Ok(Val::String(text.to_owned()))
        }
        Type::Char => {
            let mut characters = text.chars();
            match (characters.next(), characters.next()) {
                (Some(character), None) => Ok(Val::Char(character)),
                _ => Err(refused()),
            }
        }
        Type::S64 | Type::U64 if text.trim_start_matches('-').bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().ok().and_then(|number| integer(ty, number)).ok_or_else(refused)
        }
        Type::Float32 | Type::Float64 => named_float(ty, text).ok_or_else(refused),
        Type::Enum(cases) => {
            budget.charge_search(cases.names().len())?;
            budget.charge(text.len())?;
            match cases.names().find(|name| *name == text) {
                Some(name) => Ok(Val::Enum(name.to_owned())),
                None => Err(Mismatch::unknown_name(ty, "the string", text, cases.names())),
            }
        }
        Type::Variant(_) => match payload_type(ty, text, budget)? {
            None => Ok(Val::Variant(text.to_owned(), None)),
            Some(payload) => {
                Err(Mismatch::of(&payload, format!("the string {} alone", quoted(text)))
                    .within(Step::Name(text.to_owned())))
            }
        },
        Type::List(list) if matches!(list.ty(), Type::U8) => {
            bytes(text, budget)?.map(Val::List).ok_or_else(|| not_base64(ty, text))
        }
        Type::FixedLengthList(list) if matches!(list.ty(), Type::U8) => {
            let bytes = bytes(text, budget)?.ok_or_else(|| not_base64(ty, text))?;
            if bytes.len() != list.len() as usize {
                return Err(Mismatch::of(ty, counted(bytes.len(), "base64 of")));
            }
            Ok(Val::FixedLengthList(bytes))
        }
        _ => Err(refused()),
    }
}

/// The bytes of a base64 string as values, or none if it is not base64.
fn bytes(text: &str, budget: &mut Budget) -> Result<Option<Vec<Val>>, Mismatch> {
    budget.charge((text.len() / 4 + 1).saturating_mul(3 * size_of::<Val>()))?;
    let bytes = BASE64.decode(text).ok();
    Ok(bytes.map(|bytes| bytes.into_iter().map(Val::U8).collect()))
}

fn not_base64(ty: &Type, text: &str) -> Mismatch {
    Mismatch::of(ty, format!("the string {}, which is not base64", quoted(text)))
}

/// The payload of a case of a variant, a result or an option, if it has one.
fn payload_type(ty: &Type, tag: &str, budget: &mut Budget) -> Result<Option<Type>, Mismatch> {
    match ty {
        Type::Variant(variant) => {
            let cases = variant.cases();
            budget.charge_search(VARIANT_SEARCH * cases.len())?;
            budget.charge(tag.len())?;
            variant.cases().find(|case| case.name == tag).map(|case| case.ty).ok_or_else(|| {
                Mismatch::unknown_name(ty, "the unknown case", tag, cases.map(|case| case.name))
            })
        }
        Type::Result(result) if tag == "ok" => Ok(result.ok()),
        Type::Result(result) if tag == "err" => Ok(result.err()),
        Type::Result(_) => Err(Mismatch::unknown_name(ty, "the unknown case", tag, ["ok", "err"].into_iter())),
        Type::Option(option) if tag == "some" => Ok(Some(option.ty())),
        _ => Err(Mismatch::of(ty, format!("an object of {}", quoted(tag)))),
    }
}

fn twice(ty: &Type, what: &str) -> Mismatch {
    Mismatch::of(ty, format!("the {what} twice"))
}

fn counted(count: usize, what: &str) -> String {
    format!("{what} {count}")
}

fn count_rest<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<usize, A::Error> {
    let mut count = 0;
    while seq.next_element::<IgnoredAny>()?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// Ends the parse. The reason is kept beside the parser.
fn refused<E: de::Error>() -> E {
    E::custom("refused")
}

/// What a body has to be.
const EXPECTED_BODY: &str = "an object by parameter name or an array by position";
/// Standard alphabet (RFC 4648, section 4), padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// 2^53: up to it, an `f64` holds every integer (IEEE 754).
const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;
/// Characters of an unknown parameter's name that an error repeats.
const MAX_UNKNOWN_NAME: usize = 60;
/// What looking at one case of a variant costs: its payload type is cloned.
const VARIANT_SEARCH: usize = 4;
