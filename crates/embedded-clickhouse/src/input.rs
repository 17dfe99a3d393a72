//! The request body on its way from the network to the engine's blocking thread.
//!
//! Invariant: at most [`CHUNKS`] network chunks and one compressed block wait in memory, whatever the body's size;
//! and a body that breaks off is an error for the reader, never the end of the data.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::exception::Exception;
use crate::framing::Decoder;

/// Chunks of about 16 KiB to 400 KiB, as hyper reads them.
const CHUNKS: usize = 8;

enum Piece {
    Data(Bytes),
    End,
}

/// Sends the body's pieces. Without a final `End` the reader sees a broken body.
pub(crate) struct Pump(mpsc::Sender<Piece>);

/// Reads the body on a blocking thread.
pub(crate) struct Input {
    pieces: mpsc::Receiver<Piece>,
    decoder: Option<Decoder>,
    ended: bool,
}

/// A connected pair. `framed` bodies are verified and decompressed by the reader.
pub(crate) fn channel(framed: bool) -> (Pump, Input) {
    let (sender, pieces) = mpsc::channel(CHUNKS);
    (Pump(sender), Input { pieces, decoder: framed.then(Decoder::default), ended: false })
}

impl Pump {
    /// Passes the whole body on. When the reader has given up, the rest is read and dropped: a client that is still
    /// writing would otherwise see a reset connection in place of the error answer.
    pub(crate) async fn run(self, mut body: Incoming) {
        while let Some(frame) = body.frame().await {
            match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(data)) => drop(self.0.send(Piece::Data(data)).await),
                Ok(Err(_trailers)) => {}
                Err(error) => return tracing::debug!(%error, "request body broke off"),
            }
        }
        drop(self.0.send(Piece::End).await);
    }

    /// Stands for an empty body.
    pub(crate) async fn end(self) {
        drop(self.0.send(Piece::End).await);
    }
}

impl Input {
    /// The next plain bytes; `None` at the body's end.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Exception> {
        loop {
            if let Some(data) = self.decoder.as_mut().map_or(Ok(None), Decoder::next)? {
                return Ok(Some(data));
            }
            if self.ended {
                return Ok(None);
            }
            match self.pieces.blocking_recv() {
                Some(Piece::Data(data)) => match &mut self.decoder {
                    Some(decoder) => decoder.push(&data),
                    None => return Ok(Some(data)),
                },
                Some(Piece::End) => {
                    self.ended = true;
                    self.decoder.as_ref().map_or(Ok(()), Decoder::finish)?;
                }
                None => {
                    let message = "the request body broke off before its end";
                    return Err(Exception::new(Exception::NETWORK_ERROR, message));
                }
            }
        }
    }
}
