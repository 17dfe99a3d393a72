//! What can go wrong at an effect.

/// Which effect of a history a fault meets, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum At {
    Effect(u32),
    Insert(u32),
}

/// Which side of the effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// The request has not left the client.
    Before,
    /// It has had its effect, and the reply has not been read.
    After,
}

/// What stays of the month at which an insert breaks off: the de-duplication log and the part are two writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Neither,
    TokenOnly,
    PartOnly,
}

/// Where an insert breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Break {
    /// Months that are in before it; as many as there are, or more: all of it is in, and the reply is lost.
    pub(crate) months: u8,
    pub(crate) order: Order,
    /// With the server, or alone (disk, memory).
    pub(crate) kill: bool,
}

/// What meets an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is killed, and started again.
    Crash(When),
    /// The process stands still for so many seconds; from 10 on the group goes on without it.
    Freeze(When, u8),
    /// No effect, and an answer that says so.
    Refuse,
    /// The effect, and no answer.
    LoseReply,
    /// The effect comes so many seconds late; the client waits for 5.
    Slow(u8),
    /// The coordinator takes the request for one of an old generation.
    Fence,
    /// The table's server fails; at anything but an insert, it is killed at that moment.
    Server(Break),
    /// The table's server cannot be reached for so many seconds.
    Outage(u8),
    /// The group throws the member out while it is alive; it hears of it so many milliseconds later.
    Evict(u16),
    /// The group assigns anew.
    Shift,
    /// Another process joins.
    Join,
    /// The process is told to end, drains, and comes back later.
    Leave,
    /// So many inserts of others that the de-duplication log forgets all tokens older than 30 s.
    Forget,
    /// All processes are killed, and somebody sets offsets by hand: `Meddling::SetBack`.
    SetBack(u8),
}
