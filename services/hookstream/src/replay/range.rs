//! From where to where: what the caller wrote, and which sequences that means.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hookstream_bus::{Bus, Selection, Start, StreamState};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, Time};

use crate::settings::Usage;

/// One end of a range, as written: a stream sequence, a time, or how long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Sequence(u64),
    Time(OffsetDateTime),
    Ago(Duration),
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(ago) = text.strip_prefix('-') {
            return duration(ago).map(Self::Ago).ok_or_else(|| NO_BOUND.to_owned());
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Sequence).map_err(|_| NO_BOUND.to_owned());
        }
        if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
            return Ok(Self::Time(time));
        }
        let date = Date::parse(text, format_description!("[year]-[month]-[day]"));
        date.map(|date| Self::Time(date.with_time(Time::MIDNIGHT).assume_utc()))
            .map_err(|_| NO_BOUND.to_owned())
    }
}

const NO_BOUND: &str = "give a stream sequence (1200), a time (2026-11-24T10:00:00Z), a day (2026-11-24) or how long ago (-24h, -30m, -7d)";

/// `90s`, `30m`, `24h`, `7d`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let count: u64 = text[..text.len() - 1].parse().ok()?;
    count.checked_mul(seconds).map(Duration::from_secs)
}

impl Bound {
    /// Where to begin reading.
    pub(crate) fn start(self, now: OffsetDateTime) -> anyhow::Result<Start> {
        Ok(match self.fixed(now)? {
            Self::Sequence(sequence) => Start::Sequence(sequence),
            Self::Time(time) => Start::Time(time),
            Self::Ago(_) => Start::New,
        })
    }

    /// How long ago it is, counted from `now`, becomes a time.
    fn fixed(self, now: OffsetDateTime) -> anyhow::Result<Self> {
        match self {
            Self::Ago(ago) => {
                let time = now.checked_sub(ago.try_into().unwrap_or(time::Duration::MAX));
                Ok(Self::Time(time.context("that long ago there was no time")?))
            }
            fixed => Ok(fixed),
        }
    }
}

/// Stream sequences from one to another, both included; empty if `to` lies before `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Range {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Range {
    pub(crate) fn is_empty(self) -> bool {
        self.to < self.from
    }

    /// How many sequences it holds.
    pub(crate) fn len(self) -> u64 {
        (self.to + 1).saturating_sub(self.from)
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_empty() {
            return f.write_str("(no sequence)");
        }
        write!(f, "{}–{}", self.from, self.to)
    }
}

/// Which sequences the caller means, and which of them have left the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// What the stream still holds of it.
    pub(crate) range: Range,
    /// What has left the stream and is, or may be, of it.
    pub(crate) gap: Option<Range>,
}

/// Turns bounds into sequences. Without `from` it begins with the stream's first event ever, without `to` it ends with
/// the last one stored now. A time as `to` is the first that is left out.
pub(crate) async fn resolve(
    bus: &Bus,
    stream: &StreamState,
    from: Option<Bound>,
    to: Option<Bound>,
    now: OffsetDateTime,
) -> anyhow::Result<Resolved> {
    let (from, to) = (from.map(|from| from.fixed(now)).transpose()?, to.map(|to| to.fixed(now)).transpose()?);
    check_order(from, to)?;
    let first_held =
        if stream.messages == 0 { stream.last_sequence + 1 } else { stream.first_sequence.max(1) };
    let to = match to {
        None | Some(Bound::Ago(_)) => stream.last_sequence,
        Some(Bound::Sequence(sequence)) => sequence.min(stream.last_sequence),
        Some(Bound::Time(time)) => first_at(bus, stream, time).await? - 1,
    };
    let wanted = match from {
        None | Some(Bound::Ago(_)) => 1,
        Some(Bound::Sequence(sequence)) if sequence > stream.last_sequence => {
            bail!("stream {} ends at {}: --from {sequence} lies behind it", stream.name, stream.last_sequence)
        }
        Some(Bound::Sequence(sequence)) => sequence.max(1),
        Some(Bound::Time(time)) => match first_at(bus, stream, time).await? {
            // What was stored between that time and the first event held is not known any more.
            first if first == first_held && first_held > 1 => 1,
            first => first,
        },
    };
    let gap = Range { from: wanted, to: to.min(first_held - 1) };
    Ok(Resolved { range: Range { from: wanted.max(first_held), to }, gap: (!gap.is_empty()).then_some(gap) })
}

async fn first_at(bus: &Bus, stream: &StreamState, time: OffsetDateTime) -> anyhow::Result<u64> {
    let ahead = bus.ahead(&stream.name, Start::Time(time), &Selection::default()).await?;
    Ok(ahead.first)
}

fn check_order(from: Option<Bound>, to: Option<Bound>) -> Result<(), Usage> {
    let backwards = match (from, to) {
        (Some(Bound::Sequence(from)), Some(Bound::Sequence(to))) => from > to,
        (Some(Bound::Time(from)), Some(Bound::Time(to))) => from >= to,
        _ => false,
    };
    if backwards {
        return Err(Usage("--to lies before --from: exchange them".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_bound_is_a_sequence_a_time_a_day_or_how_long_ago() {
        assert_eq!("1200".parse(), Ok(Bound::Sequence(1200)));
        assert_eq!("2026-11-24T10:00:00Z".parse(), Ok(Bound::Time(datetime!(2026-11-24 10:00 UTC))));
        assert_eq!("2026-11-24T10:00:00+02:00".parse(), Ok(Bound::Time(datetime!(2026-11-24 10:00 +2))));
        assert_eq!("2026-11-24".parse(), Ok(Bound::Time(datetime!(2026-11-24 0:00 UTC))));
        assert_eq!("-24h".parse(), Ok(Bound::Ago(Duration::from_hours(24))));
        assert_eq!("-7d".parse(), Ok(Bound::Ago(Duration::from_hours(7 * 24))));
        for wrong in
            ["", "-", "-h", "24h", "-1y", "-999999999999999999d", "yesterday", "99999999999999999999", "-é"]
        {
            assert!(wrong.parse::<Bound>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_range_that_goes_backwards_is_refused_before_anything_is_asked() {
        let bound = |text: &str| Some(text.parse::<Bound>().unwrap());
        assert!(check_order(bound("5"), bound("4")).is_err());
        assert!(check_order(bound("5"), bound("5")).is_ok());
        assert!(check_order(bound("2026-11-24"), bound("2026-11-24")).is_err());
        assert!(check_order(bound("5"), bound("2026-11-24")).is_ok());
    }

    #[test]
    fn an_empty_range_has_no_sequences() {
        assert_eq!(Range { from: 3, to: 2 }.len(), 0);
        assert!(Range { from: 3, to: 2 }.is_empty());
        assert_eq!(Range { from: 1, to: 0 }.to_string(), "(no sequence)");
        assert_eq!(Range { from: 1, to: 2 }.len(), 2);
    }
}
