//! The manual pages, typeset by groff.

use std::process::Command;

use crate::program::{commands, nova, stderr, stdout};

/// The page as a terminal shows it; `None` where there is no groff.
fn typeset(page: &std::path::Path) -> Option<String> {
    let mut groff = Command::new("groff");
    // All warnings but those about lines that are too full to be adjusted.
    groff.args(["-man", "-Tutf8", "-P-c", "-P-b", "-P-o", "-P-u", "-ww", "-Wbreak", "-Wdi"]).arg(page);
    match groff.output() {
        Err(_) => None,
        Ok(output) => {
            assert!(
                output.status.success() && output.stderr.is_empty(),
                "{}: {}",
                page.display(),
                stderr(&output)
            );
            Some(stdout(&output))
        }
    }
}

#[test]
fn each_command_has_a_page_that_groff_takes() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("man1");
    let output = nova(&["man", "--dir"]).arg(&dir).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let commands = commands();
    let pages = std::fs::read_dir(&dir).unwrap().count();
    assert_eq!(pages, commands.len(), "{}", stdout(&output));
    for words in commands {
        let name = [&["nova".to_owned()][..], &words].concat().join("-");
        let page = dir.join(format!("{name}.1"));
        let source = std::fs::read_to_string(&page).unwrap();
        assert!(source.contains(".SH SYNOPSIS"), "{name}");
        let Some(shown) = typeset(&page) else { continue };
        assert!(shown.contains("NAME\n") && shown.contains("SYNOPSIS\n"), "{name}:\n{shown}");
        if name == "nova-offsets-set" {
            let example = "nova offsets set --stream likes --to earliest\n";
            assert!(shown.contains("EXAMPLES\n") && shown.contains(example), "{shown}");
        }
    }
}

#[test]
fn the_page_of_nova_itself_is_printed_and_names_the_others() {
    let output = nova(&["man"]).output().unwrap();
    let page = stdout(&output);
    assert!(output.status.success() && page.contains(".TH nova 1"), "{page}");
    for words in ["status", "EXIT CODES", "interrupted"] {
        assert!(page.contains(words), "no {words} in\n{page}");
    }
    let refused = nova(&["man", "--dir", "/dev/null/man1"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("/dev/null/man1"), "{}", stderr(&refused));
}
