//! The query of a request, parameter by parameter. What is unknown, doubled or malformed is refused.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::extract::{FromRequestParts, Query};
use hyper::http::request::Parts;
use serde::de::DeserializeOwned;
use time::format_description::well_known::Rfc3339;
use time::macros::{format_description, time};
use time::{Date, OffsetDateTime, UtcOffset};

use crate::cursor;
use crate::page::PageRequest;
use crate::problem::Problem;

/// Longest value of a filter, in bytes.
const VALUE_BYTES_MAX: usize = 1024;

/// Rows of a page, unless the request says otherwise.
const LIMIT_DEFAULT: i64 = 100;

/// Most rows of a page.
const LIMIT_MAX: i64 = 500;

/// The parameters not taken yet. Handlers take what they know; [`Parameters::page`] or [`Parameters::finish`] refuses
/// the rest.
#[derive(Debug)]
pub(crate) struct Parameters {
    left: BTreeMap<String, String>,
    /// The path, and then the filters taken so far: what a cursor belongs to.
    scope: String,
    known: Vec<&'static str>,
}

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| Problem::parameter("query", "cannot be read"))?;
        let mut left = BTreeMap::new();
        for (name, value) in pairs {
            if value.len() > VALUE_BYTES_MAX && name != "cursor" {
                return Err(Problem::parameter(
                    &shown(&name),
                    format!("must have at most {VALUE_BYTES_MAX} bytes"),
                ));
            }
            // Postgres refuses it in a text.
            if value.contains('\0') {
                return Err(Problem::parameter(&shown(&name), "must not hold U+0000"));
            }
            if left.insert(name.clone(), value).is_some() {
                return Err(Problem::parameter(&shown(&name), "must be given once"));
            }
        }
        Ok(Self { left, scope: parts.uri.path().to_owned(), known: Vec::new() })
    }
}

impl Parameters {
    /// A text to filter by; the empty one is a value too.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        let value = self.take(name)?;
        // Lengths in front, so that no two sets of filters read the same.
        // Writing to a string cannot fail.
        let _ = write!(self.scope, "\n{}:{name}={}:{value}", name.len(), value.len());
        Some(value)
    }

    /// A number from 0 on to filter by.
    pub(crate) fn number(&mut self, name: &'static str) -> Result<Option<i64>, Problem> {
        self.text(name).map(|text| whole_number(name, &text)).transpose()
    }

    /// One of some names to filter by.
    pub(crate) fn one_of(&mut self, name: &'static str, names: &[&str]) -> Result<Option<String>, Problem> {
        match self.text(name) {
            Some(text) if !names.contains(&text.as_str()) => {
                Err(Problem::parameter(name, format!("must be one of {}", names.join(", "))))
            }
            text => Ok(text),
        }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Problem> {
        Ok(self.one_of(name, &["true", "false"])?.map(|text| text == "true"))
    }

    /// A time to filter by: RFC 3339, or a date, which is its first moment in UTC.
    pub(crate) fn time(&mut self, name: &'static str) -> Result<Option<OffsetDateTime>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        // A plus sign that was not encoded has become a space.
        let time = OffsetDateTime::parse(&text.replace(' ', "+"), &Rfc3339)
            .ok()
            .and_then(|time| time.checked_to_offset(UtcOffset::UTC))
            .or_else(|| Some(date(&text)?.with_time(time!(0:00)).assume_utc()));
        match time.filter(|time| (1..=9999).contains(&time.year())) {
            Some(time) => Ok(Some(time)),
            None => Err(Problem::parameter(name, "must be a time such as 2026-11-23T10:00:00Z, or a date")),
        }
    }

    /// A date to filter by, as its text.
    pub(crate) fn date(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        match self.text(name) {
            Some(text) if date(&text).is_none() => {
                Err(Problem::parameter(name, "must be a date such as 2026-11-23"))
            }
            text => Ok(text),
        }
    }

    /// Which page: `limit`, `cursor` and `min_sequence`. Called last, when all filters are taken.
    pub(crate) fn page<K: DeserializeOwned>(mut self) -> Result<PageRequest<K>, Problem> {
        let limit = match self.take("limit") {
            Some(text) => text
                .parse::<i64>()
                .ok()
                .filter(|limit| (1..=LIMIT_MAX).contains(limit) && text.bytes().all(|b| b.is_ascii_digit()))
                .ok_or_else(|| Problem::parameter("limit", format!("must be from 1 to {LIMIT_MAX}")))?,
            None => LIMIT_DEFAULT,
        };
        let cursor = self.take("cursor");
        let scope = self.scope.clone();
        let min_sequence = self.finish()?;
        let after = match cursor {
            Some(cursor) => Some(cursor::decode(&scope, &cursor).ok_or(Problem::BadCursor)?),
            None => None,
        };
        Ok(PageRequest { limit, after, min_sequence, scope })
    }

    /// For what has no pages: `min_sequence`, 0 if absent. Called last.
    pub(crate) fn finish(mut self) -> Result<u64, Problem> {
        let min_sequence = match self.take("min_sequence") {
            Some(text) => whole_number("min_sequence", &text)?.unsigned_abs(),
            None => 0,
        };
        match self.left.keys().next() {
            Some(unknown) => Err(self.unknown(unknown)),
            None => Ok(min_sequence),
        }
    }

    /// For what has taken all that it knows. Called last.
    pub(crate) fn none(self) -> Result<(), Problem> {
        match self.left.keys().next() {
            Some(unknown) => Err(self.unknown(unknown)),
            None => Ok(()),
        }
    }

    fn unknown(&self, name: &str) -> Problem {
        let known = if self.known.is_empty() { "none".to_owned() } else { self.known.join(", ") };
        Problem::parameter(&shown(name), format!("is not a parameter here; there are {known}"))
    }

    fn take(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.left.remove(name)
    }
}

/// A number of a path or a query: digits, and at most what Postgres's bigint holds.
pub(crate) fn whole_number(name: &str, text: &str) -> Result<i64, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| Problem::parameter(name, "must be a whole number, 0 or more"))
}

fn date(text: &str) -> Option<Date> {
    // A year may have a sign, but not for Postgres.
    let unsigned = text.starts_with(|c: char| c.is_ascii_digit()).then_some(text)?;
    let date = Date::parse(unsigned, format_description!("[year]-[month]-[day]")).ok()?;
    (1..=9999).contains(&date.year()).then_some(date)
}

/// The caller's own words, within bounds.
fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
