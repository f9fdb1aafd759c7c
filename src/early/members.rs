//! Decides: does this JSON object have such a member?

/// Whether an object has a member of this name, which is written without escapes. Of what is no JSON anything may be said;
/// nothing depends on it but the choice between two ways to tell of an error.
pub(super) fn has_member(json: &[u8], name: &str) -> bool {
    member(json, name).is_some()
}

/// What follows the name of a member of the object itself, from its value on.
pub(super) fn member<'a>(json: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let end = end_of_text(&json[at + 1..])?;
                let text = &json[at + 1..at + 1 + end];
                at += end + 1;
                let value =
                    || json[at + 1..].trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
                if let Some(value) = (depth == 1 && text == name.as_bytes()).then(value).flatten() {
                    return Some(value);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The length of a text that has begun.
fn end_of_text(rest: &[u8]) -> Option<usize> {
    let mut escaped = false;
    rest.iter().position(|&byte| {
        let end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        end
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_members_of_the_object_itself() {
        let check = |json: &str, has| assert_eq!(has_member(json.as_bytes(), "error"), has, "{json}");
        check(r#"{"error":{}}"#, true);
        check(r#" { "a" : [1, {"b": "}"}], "error" : null }"#, true);
        check(r#"{"a":"error"}"#, false);
        check(r#"{"a":{"error":1}}"#, false);
        check(r#"{"a":"\"error\":"}"#, false);
        check(r#"{"a\\":"x","error":1}"#, true);
        check(r#"{"a":"\"","error":1}"#, true);
        check(r#"["error"]"#, false);
        check(r#""error""#, false);
        check("{\"error", false);
        check("", false);
    }

    #[test]
    fn a_member_s_value_begins_behind_its_name() {
        assert_eq!(member(br#"{"id" : null}"#, "id"), Some(&b"null}"[..]));
        assert_eq!(member(br#"{"a":{"id":1},"id":2}"#, "id"), Some(&b"2}"[..]));
    }

    proptest! {
        #[test]
        fn nothing_that_an_answer_says_makes_it_panic(json in "[{}\\[\\]\":,\\\\ error]{0,40}") {
            has_member(json.as_bytes(), "error");
        }
    }
}
