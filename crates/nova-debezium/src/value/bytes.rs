//! Binary values, in the encodings of `binary.handling.mode`.

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{Outcome, Problem};

/// How a `bytea` is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BytesEncoding {
    /// `bytes` (as the JSON converter writes it) and `base64`.
    #[default]
    Base64,
    /// `base64-url-safe`.
    Base64UrlSafe,
    /// `hex`.
    Hex,
}

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

pub(crate) fn decode(text: &str, encoding: BytesEncoding) -> Outcome<Vec<u8>> {
    match encoding {
        BytesEncoding::Base64 => BASE64.decode(text).map_err(|_| Problem::Type),
        BytesEncoding::Base64UrlSafe => BASE64_URL_SAFE.decode(text).map_err(|_| Problem::Type),
        BytesEncoding::Hex => hex(text).ok_or(Problem::Type),
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |&[high, low]: &[u8; 2]| Some(digit(high)? << 4 | digit(low)?);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_encoding_reads_its_own_alphabet() {
        let bytes = Ok(vec![0x00, 0xff, 0x10, 0xfb, 0xff, 0x3e, 0x3f]);
        assert_eq!(decode("AP8Q+/8+Pw==", BytesEncoding::Base64), bytes);
        assert_eq!(decode("AP8Q-_8-Pw==", BytesEncoding::Base64UrlSafe), bytes);
        assert_eq!(decode("00ff10fbFF3e3f", BytesEncoding::Hex), bytes);
        assert_eq!(decode("AP8Q-_8-Pw==", BytesEncoding::Base64), Err(Problem::Type));
        assert_eq!(decode("0", BytesEncoding::Hex), Err(Problem::Type));
        assert_eq!(decode("ü", BytesEncoding::Hex), Err(Problem::Type));
    }
}
