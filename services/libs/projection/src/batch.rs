use hookstream_bus::Message;
use hookstream_event::header;
use hookstream_store::dead_letters::DeadLetter;
use serde_json::{Map, Value};

use crate::claims::Known;
use crate::{Claim, ClaimedEvent};

/// What one pull brought, decoded: the one batch in hand.
#[derive(Debug)]
pub(crate) struct Batch {
    /// As handed out, in order; what is acked after the commit.
    messages: Vec<Message>,
    /// The events that the projection is given.
    given: Vec<ClaimedEvent>,
    /// Those it is not given, because it has seen them before.
    repeats: Vec<ClaimedEvent>,
    /// Messages that are no events.
    unreadable: Vec<DeadLetter>,
    /// The events of `given` are claimed.
    claimed: bool,
}

impl Batch {
    /// Decodes `messages`; none if there are none.
    pub(crate) fn read(messages: Vec<Message>) -> Option<Self> {
        if messages.is_empty() {
            return None;
        }
        let (mut given, mut unreadable) = (Vec::with_capacity(messages.len()), Vec::new());
        for message in &messages {
            match message.to_event() {
                Ok(event) => given.push(ClaimedEvent { event, claim: Claim::Fresh }),
                Err(error) => unreadable.push(letter(message, error.code(), error.to_string(), 0)),
            }
        }
        Some(Self { messages, given, repeats: Vec::new(), unreadable, claimed: false })
    }

    /// The part of it up to a stream sequence; none if it is empty.
    pub(crate) fn up_to(mut self, sequence: u64) -> Option<Self> {
        self.messages.retain(|message| message.stream_sequence <= sequence);
        self.given.retain(|claimed| claimed.event.stream_sequence <= sequence);
        self.unreadable.retain(|letter| letter.stream_sequence <= sequence);
        (!self.messages.is_empty()).then_some(self)
    }

    pub(crate) fn messages(&self) -> &[Message] {
        &self.messages
    }

    pub(crate) fn last(&self) -> &Message {
        self.messages.last().expect("a batch is never empty")
    }

    /// `Nats-Msg-Id` of the last message.
    pub(crate) fn last_message_id(&self) -> Option<&str> {
        header_of(self.last(), header::MSG_ID)
    }

    pub(crate) fn given(&self) -> &[ClaimedEvent] {
        &self.given
    }

    pub(crate) fn repeats(&self) -> &[ClaimedEvent] {
        &self.repeats
    }

    pub(crate) fn unreadable(&self) -> &[DeadLetter] {
        &self.unreadable
    }

    pub(crate) fn is_claimed(&self) -> bool {
        self.claimed
    }

    /// Claims the events in order. Once is enough, however often the batch is tried: as long as the checkpoint stands
    /// where it stood, nobody has written to the memory.
    pub(crate) fn claim(&mut self, mut known: Known, sees_repeats: bool) {
        for claimed in &mut self.given {
            claimed.claim = known.claim(&claimed.event.envelope);
        }
        if !sees_repeats {
            let events = std::mem::take(&mut self.given);
            (self.given, self.repeats) = events.into_iter().partition(|event| event.claim.is_new());
        }
        self.claimed = true;
    }

    /// The dead letter of an event of this batch.
    pub(crate) fn dead_letter(
        &self,
        stream_sequence: u64,
        reason: &str,
        error: String,
        attempts: u32,
    ) -> Option<DeadLetter> {
        let message = self.messages.iter().find(|message| message.stream_sequence == stream_sequence)?;
        let event = self.given.iter().find(|claimed| claimed.event.stream_sequence == stream_sequence);
        let event_id = event.map(|claimed| claimed.event.envelope.id.clone());
        Some(DeadLetter { event_id, ..letter(message, reason, error, attempts) })
    }
}

fn letter(message: &Message, reason: &str, error: String, attempts: u32) -> DeadLetter {
    // The server adds this header where it leaves the payload out.
    let headers_only = header_of(message, "Nats-Msg-Size").is_some();
    DeadLetter {
        stream_sequence: message.stream_sequence,
        event_id: None,
        subject: message.subject.clone(),
        reason: reason.to_owned(),
        error,
        attempts,
        payload: (!headers_only).then(|| message.payload.to_vec()),
        headers: headers_json(&message.headers),
        recorded_at: message.recorded_at,
    }
}

fn header_of<'m>(message: &'m Message, wanted: &str) -> Option<&'m str> {
    let mut headers = message.headers.iter();
    headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
}

/// Name to value; a name that comes more than once has the list of its values.
fn headers_json(headers: &[(String, String)]) -> Value {
    let mut json = Map::new();
    for (name, value) in headers {
        let value = Value::from(value.as_str());
        match json.get_mut(name) {
            None => {
                json.insert(name.clone(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Value::Object(json)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_header_that_comes_twice_keeps_both_values() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = [header("a", "1"), header("a", "2"), header("a", "3"), header("b", "4")];
        assert_eq!(headers_json(&headers), json!({"a": ["1", "2", "3"], "b": "4"}));
    }
}
