use crate::Token;

/// Why the bytes are no JSON document that we take. Holds none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// There are no bytes.
    #[error("the body is empty")]
    Empty,
    /// The bytes are no UTF-8.
    #[error("the body is not valid UTF-8")]
    NotUtf8,
    /// Arrays and objects within each other, too many.
    #[error("the body is nested more than {max} deep", max = crate::select::DEPTH_MAX)]
    TooDeep,
    /// The text is no JSON, or more than one document.
    #[error("the body is not JSON")]
    NotJson,
    /// JSON, but an array, text, number, boolean or null.
    #[error("the body is not a JSON object")]
    NotAnObject,
}

/// A verified body does not make an event.
///
/// `Display` is for the caller: it names fields and no values of the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBody {
    /// No JSON object of a size and depth that we take.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A form without field `payload`.
    #[error("the form has no field 'payload'")]
    PayloadMissing,
    /// A form with more than one field `payload`.
    #[error("the form has more than one field 'payload'")]
    PayloadDoubled,
    /// A GitHub event without its own key, which may mean that the event header was relabelled.
    #[error("event '{event}' and body disagree: '{key}' is missing")]
    KeyMissing {
        /// The event that the header named.
        event: Token,
        /// The key that its bodies have.
        key: String,
    },
    /// A GitHub body with a key that belongs to another event.
    #[error("event '{event}' and body disagree: '{key}' belongs to another event")]
    KeyForeign {
        /// The event that the header named.
        event: Token,
        /// The key that its bodies do not have.
        key: String,
    },
    /// A GitHub action that is no text.
    #[error("'action' is not a text")]
    ActionNotText,
    /// An internal event says not what it is.
    #[error("'type' is missing")]
    TypeMissing,
    /// An internal event of a type that this version does not know.
    #[error("'type' is no known event type")]
    TypeUnknown,
    /// A field that the internal event must have.
    #[error("'{field}' is missing")]
    FieldMissing {
        /// Path of the field, such as `phases[2].queue_id`.
        field: String,
    },
    /// A field that internal events of this type do not have.
    #[error("'{field}' is not a field of this event")]
    FieldUnknown {
        /// Path of the field, with anything but plain characters as `?`.
        field: String,
    },
    /// A field of an internal event with a value that it must not have.
    #[error("'{field}' {rule}")]
    FieldInvalid {
        /// Path of the field.
        field: String,
        /// What it must be, such as "must be a whole number from 1 to 20".
        rule: String,
    },
}

impl InvalidBody {
    /// The code in the error body that the caller gets.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Body(_) | Self::PayloadMissing | Self::PayloadDoubled => "invalid_body",
            Self::KeyMissing { .. } | Self::KeyForeign { .. } | Self::ActionNotText => "event_mismatch",
            Self::TypeMissing
            | Self::TypeUnknown
            | Self::FieldMissing { .. }
            | Self::FieldUnknown { .. }
            | Self::FieldInvalid { .. } => "invalid_event",
        }
    }
}
