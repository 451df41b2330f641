use hookstream_event::internal::is_name;
use regex::{Regex, RegexBuilder};

/// What a workflow command looks like unless the settings say otherwise, such as `adw_plan_iso`.
pub(crate) const PATTERN: &str = r"\badw_[a-z]+(?:_[a-z]+)*_iso\b";

/// Largest compiled pattern, in bytes. Matching takes time linear in the text, whatever the pattern.
const SIZE_MAX: usize = 1 << 20;

/// Finds workflow commands in texts.
#[derive(Debug, Clone)]
pub(crate) struct Commands(Regex);

impl Commands {
    /// Commands that match a regular expression.
    pub(crate) fn new(pattern: &str) -> Result<Self, regex::Error> {
        RegexBuilder::new(pattern).size_limit(SIZE_MAX).dfa_size_limit(SIZE_MAX).build().map(Self)
    }

    /// The first command in a text that could be a `workflow_type`.
    pub(crate) fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.0.find_iter(text).map(|found| found.as_str()).find(|command| is_name(command))
    }
}

impl Default for Commands {
    fn default() -> Self {
        Self::new(PATTERN).expect("a test compiles it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_whole_word() {
        let cases = [
            ("adw_plan_iso", Some("adw_plan_iso")),
            ("please run `adw_plan_build_test_iso`, thanks", Some("adw_plan_build_test_iso")),
            ("/adw_plan_iso\r\nadw_build_iso", Some("adw_plan_iso")),
            ("äöü adw_sdlc_iso.", Some("adw_sdlc_iso")),
            ("adw_plan_iso-now", Some("adw_plan_iso")),
            ("adw_plan adw_plan_iso", Some("adw_plan_iso")),
            ("adw_iso_iso", Some("adw_iso_iso")),
            ("adw_iso", None),
            ("adw__iso", None),
            ("adw_plan__iso", None),
            ("adw_plan2_iso", None),
            ("ADW_PLAN_ISO", None),
            ("adw_Plan_iso", None),
            ("my_adw_plan_iso", None),
            ("adw_plan_iso_now", None),
            ("adw_plan_isolated", None),
            ("éadw_plan_iso", None),
            ("adw-plan-iso", None),
            ("", None),
        ];
        for (text, command) in cases {
            assert_eq!(Commands::default().find(text), command, "{text:?}");
        }
    }

    #[test]
    fn a_word_of_a_megabyte_is_no_command() {
        let text = format!("adw_{}_iso", "a".repeat(1 << 20));
        assert_eq!(Commands::default().find(&text), None);
    }

    #[test]
    fn other_patterns_find_other_commands() {
        let commands = Commands::new("/run [a-z]+").unwrap();
        assert_eq!(commands.find("please /run tests"), Some("/run tests"));
        assert_eq!(commands.find("adw_plan_iso"), None);
        // What matches is never taken for a name that no event could have.
        for pattern in ["", "\\s*", "(?s).*", "a*"] {
            assert_eq!(Commands::new(pattern).unwrap().find("\u{0}\n"), None, "{pattern}");
        }
        for pattern in ["(", "a{1000000}", "(?:a{1000}){1000}"] {
            assert!(Commands::new(pattern).is_err(), "{pattern}");
        }
    }
}
