//! Finds nova's command lines in texts: in blocks of `sh`, between backticks, inside of a line of the shell.

/// Examples stand for what a text leaves open.
const EXAMPLES: [(&str, &str); 12] = [
    ("{{ $labels.stream }}", "likes"),
    ("{partition}", "3"),
    ("{limit}", "1000"),
    ("<worker>", "cdc"),
    ("<its offset + 1>", "7"),
    ("<CTE>", "x"),
    ("NAME", "likes"),
    ("HOST", "host"),
    (" …", ""),
    ("…", ""),
    ("\\\"", "\""),
    ("\\n", " "),
];

/// The lines of all blocks of `sh`; a `\` at a line's end joins the next.
pub(super) fn sh_blocks(text: &str) -> Vec<String> {
    let (mut found, mut inside) = (Vec::new(), false);
    for line in text.replace("\\\n", " ").lines() {
        match line.trim().strip_prefix("```") {
            Some(_) if inside => inside = false,
            Some(language) => inside = language == "sh",
            None if inside => found.push(line.trim().to_owned()),
            None => {}
        }
    }
    found
}

/// Columns of an answer of ClickHouse, and no commands.
const COLUMNS: [&str; 3] = ["nova times", "nova least", "nova greatest"];

/// What stands between backticks and begins with `nova `, on one line or two; placeholders are filled in.
pub(super) fn quoted(text: &str) -> Vec<String> {
    // In Rust's and YAML's strings a line may end anywhere.
    let lines: Vec<&str> =
        text.lines().map(|line| line.trim().trim_start_matches(['/', '!']).trim()).collect();
    let text = lines.join("\n").replace("\\\n", " ").replace('\n', " ");
    let starts = text.match_indices("`nova ").map(|(at, _)| &text[at + 1..]);
    let quoted = starts.filter_map(|rest| rest.split_once('`')).map(|(quoted, _)| quoted);
    // What goes beyond a string of Rust is no quotation.
    let quoted = quoted.filter(|quoted| !quoted.contains("\")") && !COLUMNS.contains(quoted));
    quoted.map(filled_in).collect()
}

fn filled_in(line: &str) -> String {
    let mut line = line.to_owned();
    for (open, example) in EXAMPLES {
        line = line.replace(open, example);
    }
    // What a message puts in: `{stream}`, `{}`.
    while let Some((before, rest)) = line.split_once('{') {
        let Some((_, after)) = rest.split_once('}') else { break };
        line = format!("{before}likes{after}");
    }
    line
}

/// `nova dlq list|show` is two commands; a bar with blanks around it is the shell's.
pub(super) fn alternatives(line: &str) -> Vec<String> {
    let choice = line.split(' ').find(|word| word.contains('|') && word.len() > 1);
    match choice {
        Some(choice) => choice.split('|').map(|one| line.replacen(choice, one, 1)).collect(),
        None => vec![line.to_owned()],
    }
}

/// nova's commands in a line of the shell, each as its words.
pub(super) fn commands(line: &str) -> Vec<Vec<String>> {
    let (mut found, mut words, mut word) = (Vec::new(), Vec::new(), None::<String>);
    let mut rest = line.chars().peekable();
    let mut quote = None;
    while let Some(character) = rest.next() {
        match (character, quote) {
            ('$', _) if rest.peek() == Some(&'(') => {
                skip_substitution(&mut rest);
                word.get_or_insert_default().push_str("2026-01-31T06:00:00Z");
            }
            (_, Some(end)) if character == end => quote = None,
            (_, Some(_)) => word.get_or_insert_default().push(character),
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            (' ', None) => words.extend(word.take()),
            ('&' | '|' | ';' | '(' | ')' | '<' | '>', None) => {
                words.extend(word.take());
                found.push(std::mem::take(&mut words));
            }
            (_, None) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    found.push(words);
    let of_nova = |mut words: Vec<String>| {
        let at = words.iter().position(|word| word == "nova")?;
        let begins = words[..at].iter().all(|word| word == "do" || word == "sudo");
        begins.then(|| words.split_off(at))
    };
    found.into_iter().filter_map(of_nova).collect()
}

/// Up to the parenthesis that closes `$(`.
fn skip_substitution(rest: &mut impl Iterator<Item = char>) {
    let mut depth = 0;
    for character in rest {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

#[test]
fn commands_are_found_and_split_as_a_shell_would() {
    for (line, wanted) in [
        ("nova doctor # and more", vec!["nova|doctor"]),
        ("nova migrate && nova doctor", vec!["nova|migrate", "nova|doctor"]),
        ("nova x --reason \"a b\" 'c d' > out.json", vec!["nova|x|--reason|a b|c d"]),
        (
            "for s in a b; do nova x --to \"$(date \"$(cat t)\" +%F)\" || exit 1; done",
            vec!["nova|x|--to|2026-01-31T06:00:00Z"],
        ),
        ("source <(nova completions bash)", vec!["nova|completions|bash"]),
        ("cargo build -p nova", vec![]),
    ] {
        let found: Vec<String> = commands(line).iter().map(|words| words.join("|")).collect();
        assert_eq!(found, wanted, "{line}");
    }
    assert_eq!(alternatives("nova dlq list|show"), ["nova dlq list", "nova dlq show"]);
    assert_eq!(alternatives("nova lag | head"), ["nova lag | head"]);
    let text = "Run `nova offsets\n    /// show --stream {stream}`, or \"`nova x --to \\\n   y`\".";
    assert_eq!(quoted(text), ["nova offsets show --stream likes", "nova x --to  y"]);
    assert_eq!(sh_blocks("```sh\nnova a \\\n  b\n```\n```\nnova c\n```\n"), ["nova a    b"]);
}
