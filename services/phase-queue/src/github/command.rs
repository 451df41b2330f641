/// The first workflow command in a text, such as `adw_plan_iso`.
///
/// Finds what the pattern `\badw_[a-z]+(?:_[a-z]+)*_iso\b` finds. Both ends are word boundaries and all between them
/// are word characters, so a command is always a whole word.
pub(crate) fn find(text: &str) -> Option<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).find(|word| is_command(word))
}

fn is_command(word: &str) -> bool {
    let name = word.strip_prefix("adw_").and_then(|rest| rest.strip_suffix("_iso"));
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    word.len() <= COMMAND_BYTES_MAX && name.is_some_and(|name| name.split('_').all(is_part))
}

/// Longest command: what an event's `workflow_type` may be.
const COMMAND_BYTES_MAX: usize = hookstream_event::internal::limit::NAME;

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
            assert_eq!(find(text), command, "{text:?}");
        }
    }

    #[test]
    fn a_word_of_a_megabyte_is_no_command() {
        assert_eq!(find(&format!("adw_{}_iso", "a".repeat(1 << 20))), None);
    }
}
