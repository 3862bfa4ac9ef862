//! The fields of a gateway event that the two metrics need, borrowed from the line.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

/// The envelope.
#[derive(Deserialize)]
pub(crate) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(default)]
    pub(crate) timestamp: Millis,
    #[serde(borrow, default, deserialize_with = "payload")]
    pub(crate) data: Data<'a>,
}

/// The payload, of any type of event.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Data<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Text<'a>,
    #[serde(borrow)]
    pub(crate) request_id: Text<'a>,
    #[serde(borrow)]
    pub(crate) stream_id: Text<'a>,
    pub(crate) timestamp: Millis,
    pub(crate) inference_status: InferenceStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct InferenceStatus {
    pub(crate) fps: Option<f64>,
}

/// Milliseconds since the epoch, written as a number or as a text of one.
#[derive(Clone, Copy, Default)]
pub(crate) struct Millis(pub(crate) Option<i64>);

/// A text; empty where it is null.
#[derive(Default)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    pub(crate) fn as_ref(&self) -> &str {
        &self.0
    }

    fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }
}

impl Data<'_> {
    fn into_owned(self) -> Data<'static> {
        let Self { kind, request_id, stream_id, timestamp, inference_status } = self;
        let (kind, request_id, stream_id) = (kind.into_owned(), request_id.into_owned(), stream_id.into_owned());
        Data { kind, request_id, stream_id, timestamp, inference_status }
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MillisVisitor;
        impl Visitor<'_> for MillisVisitor {
            type Value = Millis;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("milliseconds")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Millis, E> {
                Ok(Millis(i64::try_from(value).ok()))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Millis, E> {
                Ok(Millis(Some(value)))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Millis, E> {
                Ok(Millis(Some(value as i64)))
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Millis, E> {
                Ok(Millis(value.parse().ok()))
            }
            fn visit_unit<E: Error>(self) -> Result<Millis, E> {
                Ok(Millis(None))
            }
        }
        deserializer.deserialize_any(MillisVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(value)))
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(value.to_owned())))
            }
            fn visit_unit<E: Error>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

/// An object, or a text of one. Arrays have nothing for the two metrics.
fn payload<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Data<'de>, D::Error> {
    struct DataVisitor;
    impl<'de> Visitor<'de> for DataVisitor {
        type Value = Data<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a payload")
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Data<'de>, A::Error> {
            Data::deserialize(MapAccessDeserializer::new(map))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Data<'de>, A::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Data::default())
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Data<'de>, E> {
            let mut nested = serde_json::Deserializer::from_str(text);
            nested.deserialize_any(DataVisitor).map(Data::into_owned).map_err(E::custom)
        }
        fn visit_unit<E: Error>(self) -> Result<Data<'de>, E> {
            Ok(Data::default())
        }
    }
    deserializer.deserialize_any(DataVisitor)
}
