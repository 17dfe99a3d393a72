//! The dead-letter producer: a letter is sent from the process's own buffer, which dies with it.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::world::{Client, LATENCY, World};
use crate::{DeadLetter, DeadLetters, ErrorKind, PipelineError};

pub(super) struct ModelLetters {
    pub(super) world: Arc<World>,
    pub(super) client: Client,
}

impl DeadLetters for ModelLetters {
    async fn write(&self, letters: &[DeadLetter]) -> Result<(), PipelineError> {
        let meets = self.world.effect(self.client, "dead letters").await;
        meets.refused()?;
        let (sender, receiver) = oneshot::channel();
        let (world, client) = (Arc::clone(&self.world), self.client);
        let letters: Vec<(i32, i64)> =
            letters.iter().map(|letter| (letter.partition, letter.offset)).collect();
        let wait = LATENCY * 10 + meets.slow;
        self.world.serve(async move {
            sleep(wait).await;
            let mut state = world.state();
            if state.slots[client.slot].crashed == Some(client.number) {
                return;
            }
            for letter in letters {
                *state.letters.entry(letter).or_default() += 1;
            }
            let _ = sender.send(());
        });
        let lost = |_| PipelineError::new(ErrorKind::LostReply, "not acknowledged");
        let reply = receiver.await.map_err(lost);
        self.world.reply(self.client, meets, reply).await
    }
}
