//! The page in a real Chromium: it loads alone, shows what the report holds, and reacts to mouse and keyboard.
//!
//! `REPORT_SCREENSHOTS=FOLDER` keeps pictures to be looked at.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nova_reconcile::render;
use serde_json::json;

use crate::browser::Browser;
use crate::samples;

const NOTHING: [&str; 0] = [];
const FITS: &str = "return document.documentElement.scrollWidth <= innerWidth";
const BACKGROUND: &str = "return getComputedStyle(document.body).backgroundColor";
const SHOWN: &str = "return document.querySelectorAll('#list > details').length";

/// Texts whose contrast is below WCAG's 4.5 : 1 (<https://www.w3.org/TR/WCAG22/#contrast-minimum>).
const FAINT: &str = r"
    const light = (color) => {
        const [r, g, b] = color.match(/[\d.]+/g).map((n) => n / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
        const color = getComputedStyle(element).backgroundColor;
        return color === 'rgba(0, 0, 0, 0)' && element.parentElement ? behind(element.parentElement) : color;
    };
    const texts = [...document.querySelectorAll('body *:not(script)')].filter((element) =>
        element.checkVisibility() && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
    if (texts.length < 50) return ['too few texts'];
    return texts.map((element) => {
        const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        return ratio < 4.5 ? `${element.tagName}.${element.className} ${ratio.toFixed(2)} ${element.textContent.slice(0, 30)}` : null;
    }).filter(Boolean);";

#[tokio::test]
async fn a_report_with_differences() {
    let browser = Browser::open(&render::html(&samples::trouble())).await;
    browser.prefers("light").await;
    assert_eq!(browser.run("return document.querySelectorAll('.tile').length").await, json!(48 * 3 + 2));
    assert_eq!(browser.run("return document.querySelectorAll('.tile.v0').length").await, json!(129));
    assert_eq!(browser.run("return document.querySelectorAll('.tile.v2').length").await, json!(12));
    assert_eq!(browser.run("return document.querySelectorAll('[role=row]').length").await, json!(4));
    assert_eq!(browser.run(SHOWN).await, json!(35));
    let head = browser.run("return document.querySelector('.facts').innerText").await;
    assert!(head.as_str().unwrap().contains("16/B374D848, xmin 4294967801, xmax 4294967812"), "{head}");
    assert_eq!(
        browser.run("return document.querySelector('h1').textContent").await.as_str().unwrap().trim(),
        "different 35 differences in 2 of 4 streams, 1 of them explained by dead letters; not compared to the end: follows"
    );
    let facts = browser.run("return document.querySelector('#streams').textContent").await;
    for part in ["16/B374D848", "4294967801", "4294967812", "410 ms", "statement_timeout of 30 s"] {
        assert!(facts.as_str().unwrap().contains(part), "{part}");
    }
    browser.picture("light").await;

    // A click on the cell of the difference with hostile values shows both sides, as text.
    browser.click("[aria-label^='likes, 2026-11-21 16:00']").await;
    assert_eq!(browser.run(SHOWN).await, json!(1));
    let inside = browser.run("return document.querySelector('#list details[open]').innerText").await;
    for part in [
        "</script><script>alert(1)</script>",
        "</script x <!--<script x=\"\\u{2028}\\u{202e}\\u{1b}[31m\\nDROP",
        "cdc.likes/3/40034",
        "NULL",
        "user_id ≠",
        "FROM \"public\".\"likes\" WHERE \"id\" = E'</script>",
        "FROM `post_engagement_events` WHERE topic = 'cdc.likes' AND source_key = '0190a5b2-7c1d-7e3f-8a4b-000000000022'",
    ] {
        let inside = inside.as_str().unwrap();
        // ::after content is no text of the document.
        assert!(inside.contains(part.trim_end_matches(" ≠")), "{part} is not in {inside}");
    }
    assert_eq!(browser.run("return document.querySelectorAll('tr.unequal').length").await, json!(3));
    let range = browser.run("return document.querySelector('#cell').textContent").await;
    assert!(range.as_str().unwrap().contains("\"created_at\" >= '2026-11-21 16:00:00.000+00'"), "{range}");
    browser.picture("cell").await;
    assert_eq!(browser.run(FAINT).await, json!([]));

    keyboard(&browser).await;
    filters(&browser).await;
    appearance(&browser).await;
    assert_eq!(browser.complaints().await, NOTHING);
}

async fn keyboard(browser: &Browser) {
    const FOCUSED: &str =
        "return document.activeElement.getAttribute('aria-label') || document.activeElement.id";
    assert_eq!(browser.run(FOCUSED).await, json!("cell-title"));
    browser.keys("#cell-title", "\u{e00c}").await; // Escape: back to the cell
    assert_eq!(browser.run("return document.querySelector('#cell').hidden").await, json!(true));
    assert!(browser.run(FOCUSED).await.as_str().unwrap().starts_with("likes, 2026-11-21 16:00"));
    browser.keys(":focus", "\u{e013}").await; // up
    assert!(browser.run(FOCUSED).await.as_str().unwrap().starts_with("follows, 2026-11-21 16:00"));
    browser.keys(":focus", "\u{e015}\u{e015}").await; // down twice, into the stream with two windows
    assert!(browser.run(FOCUSED).await.as_str().unwrap().starts_with("posts, 2026-11-21 00:00"));
    browser.keys(":focus", "\u{e013}\u{e011}\u{e014}").await; // up, to the first, one to the right
    assert!(browser.run(FOCUSED).await.as_str().unwrap().starts_with("likes, 2026-11-20 01:00"));
    browser.keys(":focus", "\u{e007}").await; // Enter
    assert_eq!(
        browser.run("return document.querySelector('#count').textContent").await,
        json!("0 of 35 listed differences in the chosen cell.")
    );
    assert_eq!(
        browser.run("return document.querySelectorAll('.tile[tabindex=\"0\"]').length").await,
        json!(1)
    );
    browser.click("#cell button").await;
}

async fn filters(browser: &Browser) {
    browser.run("const k = document.querySelector('#kind'); k.value = 'extra'; k.dispatchEvent(new Event('input'))").await;
    assert_eq!(browser.run(SHOWN).await, json!(2));
    browser.click("#list .sql button").await;
    let mut pasted = json!("");
    for _ in 0..50 {
        browser.keys("#text", "\u{e009}v\u{e000}").await; // Ctrl+V, and let go; what is copied arrives a moment later
        pasted = browser.run("return document.querySelector('#text').value").await;
        if pasted != "" {
            break;
        }
    }
    let key = "0190a5b2-7c1d-7e3f-8a4b-00000000001f";
    assert_eq!(pasted, json!(format!("SELECT * FROM \"public\".\"likes\" WHERE \"id\" = '{key}';")));
    browser.run("document.querySelector('#text').value = ''").await;
    browser.run("const k = document.querySelector('#kind'); k.value = 'explained'; k.dispatchEvent(new Event('input'))").await;
    assert_eq!(browser.run(SHOWN).await, json!(1));
    let inside = browser.run("return document.querySelector('#list details[open]').innerText").await;
    assert!(
        inside.as_str().unwrap().contains("dead letter of cdc.comments/1/77120: payload.after"),
        "{inside}"
    );
    browser
        .run("const k = document.querySelector('#kind'); k.value = ''; k.dispatchEvent(new Event('input'))")
        .await;
    browser.keys("#text", "LIKES/3/40033").await;
    assert_eq!(
        browser.run("return document.querySelector('#list .kind').textContent").await,
        json!("doubled")
    );
    assert_eq!(browser.run(SHOWN).await, json!(1));
    browser.keys("#text", "x").await;
    assert_eq!(browser.run(SHOWN).await, json!(0));
    browser
        .run("const t = document.querySelector('#text'); t.value = ''; t.dispatchEvent(new Event('input'))")
        .await;
    browser
        .run(
            "const s = document.querySelector('#stream'); s.value = '0'; s.dispatchEvent(new Event('input'))",
        )
        .await;
    assert_eq!(
        browser.run("return document.querySelector('#count').textContent").await,
        json!("1 of 35 listed differences.")
    );
    browser
        .run("const s = document.querySelector('#stream'); s.value = ''; s.dispatchEvent(new Event('input'))")
        .await;
}

async fn appearance(browser: &Browser) {
    let light = browser.run(BACKGROUND).await;
    browser.prefers("dark").await;
    let dark = browser.run(BACKGROUND).await;
    assert_eq!((&light, &dark), (&json!("rgb(246, 246, 243)"), &json!("rgb(18, 23, 28)")));
    browser.click("#list summary").await;
    browser.run("scrollTo(0, 0)").await;
    browser.picture("dark").await;
    assert_eq!(browser.run(FAINT).await, json!([]));
    browser.click("#theme").await;
    assert_eq!(browser.run(BACKGROUND).await, light);
    browser.click("#theme").await;
    assert_eq!(browser.run(BACKGROUND).await, dark);
    assert_eq!(browser.run(FITS).await, json!(true));
    browser.click("#theme").await;
    browser.size(375, 812, true).await;
    browser.click("[aria-label^='likes, 2026-11-20 11:00']").await;
    assert_eq!(browser.run(FITS).await, json!(true));
    browser.picture("phone-cell").await;
    browser.run("scrollTo(0, 0)").await;
    browser.picture("phone").await;
    browser.run("document.querySelector('#list-title').scrollIntoView()").await;
    browser.picture("phone-list").await;
}

#[tokio::test]
async fn a_report_without_differences() {
    let browser = Browser::open(&render::html(&samples::well())).await;
    browser.prefers("light").await;
    assert_eq!(browser.run(SHOWN).await, json!(0));
    assert_eq!(
        browser.run("return document.querySelector('#count').textContent").await,
        json!("There are none.")
    );
    assert_eq!(browser.run("return document.querySelector('#filters').hidden").await, json!(true));
    browser.picture("well").await;
    browser.size(320, 700, true).await;
    assert_eq!(browser.run(FITS).await, json!(true));
    assert_eq!(browser.complaints().await, NOTHING);
}

#[tokio::test]
async fn a_huge_report_is_bounded_and_says_so() {
    let html = render::html(&samples::huge());
    assert!(html.len() < 14 << 20, "{} bytes", html.len());
    let browser = Browser::open(&html).await;
    browser.prefers("light").await;
    assert_eq!(browser.run("return document.querySelectorAll('.tile').length").await, json!(96 * 20));
    assert_eq!(browser.run(SHOWN).await, json!(50));
    browser.click("#more").await;
    assert_eq!(browser.run(SHOWN).await, json!(100));
    let notes = browser.run("return document.querySelector('#notes').textContent").await;
    assert_eq!(
        notes,
        json!(
            "Windows are folded: up to 1,000 per stream are shown in 96 columns of about as many windows each. \
        5,000 differences are listed here of 5,010,000 found; the others are counted in their cells."
        )
    );
    browser.click("[aria-label^='stream_00']").await;
    let windows = browser.run("return document.querySelectorAll('#cell tbody tr').length").await;
    assert!(windows.as_u64().unwrap() >= 10, "{windows}");
    browser.picture("huge").await;
    browser.keys("#text", "no such thing").await;
    assert_eq!(browser.run(SHOWN).await, json!(0));
    assert_eq!(browser.complaints().await, NOTHING);
}
