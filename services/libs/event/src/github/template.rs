//! How the table spells a CloudEvents source: `{comment.url}/{comment.commit_id}`, `{sender.url}/..`, `github.com`.

use crate::select::Selected;

/// Literal text and paths, in order.
#[derive(Debug)]
pub(super) struct Template {
    parts: Vec<Part>,
    /// The template ended in `/..`: the last segment of the result is dropped.
    parent: bool,
}

#[derive(Debug)]
enum Part {
    Literal(String),
    Path(String),
}

impl Template {
    pub(super) fn parse(text: &str) -> Self {
        let (mut rest, parent) = text.strip_suffix("/..").map_or((text, false), |text| (text, true));
        let mut parts = Vec::new();
        while let Some((literal, (path, behind))) =
            rest.split_once('{').and_then(|(literal, rest)| Some((literal, rest.split_once('}')?)))
        {
            parts.push(Part::Literal(literal.to_owned()));
            parts.push(Part::Path(path.to_owned()));
            rest = behind;
        }
        parts.push(Part::Literal(rest.to_owned()));
        Self { parts, parent }
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Path(path) => Some(path.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// The text, if the body has a non-empty text for every path.
    pub(super) fn render(&self, found: &Selected<'_>) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            text.push_str(match part {
                Part::Literal(literal) => literal,
                Part::Path(path) => found.text(path).filter(|value| !value.is_empty())?,
            });
        }
        if self.parent { text.rsplit_once('/').map(|(parent, _)| parent.to_owned()) } else { Some(text) }
    }
}
