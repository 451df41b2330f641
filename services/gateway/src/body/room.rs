use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hookstream_runtime::http::network;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::BodyLimits;
use crate::refusal::Refusal;

/// So many clients are told apart before those that have left are forgotten.
const CLIENTS_BEFORE_CLEANING: usize = 2048;

/// Room for the bodies in hand, half of it at most for one client: whoever sends slowly and much would have all of it.
#[derive(Debug)]
pub(crate) struct Room {
    all: Arc<Semaphore>,
    share: usize,
    /// Those that have bodies in hand, and some that had.
    clients: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

/// The room that a client's bodies have.
#[derive(Debug)]
pub(crate) struct ClientRoom {
    all: Arc<Semaphore>,
    own: Option<Arc<Semaphore>>,
}

/// Room that a body has taken. It is free again once this is dropped.
#[derive(Debug, Default)]
pub(super) struct Taken {
    all: Option<OwnedSemaphorePermit>,
    own: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(crate) fn new(limits: &BodyLimits) -> Self {
        let all = Arc::new(Semaphore::new(limits.all_bytes_max));
        // The largest body fits in any case.
        let share = (limits.all_bytes_max / 2).max(limits.bytes_max);
        Self { all, share, clients: Mutex::default() }
    }

    /// The room for bodies of this client, or of one that cannot be told from others.
    pub(crate) fn of(&self, client: Option<IpAddr>) -> ClientRoom {
        ClientRoom { all: Arc::clone(&self.all), own: client.map(|client| self.share(network(client))) }
    }

    fn share(&self, client: IpAddr) -> Arc<Semaphore> {
        // Nothing panics while it is held.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = clients.get(&client).and_then(Weak::upgrade) {
            return share;
        }
        if clients.len() >= CLIENTS_BEFORE_CLEANING {
            clients.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(self.share));
        clients.insert(client, Arc::downgrade(&share));
        share
    }

    #[cfg(test)]
    pub(super) fn left(&self) -> usize {
        self.all.available_permits()
    }
}

impl ClientRoom {
    /// Takes room for a piece of a body, in addition to what the body has already.
    pub(super) fn take(&self, bytes: usize, taken: &mut Taken) -> Result<(), Refusal> {
        let permits = u32::try_from(bytes).map_err(|_| Refusal::Overloaded)?;
        let acquire = |semaphore: &Arc<Semaphore>| {
            Arc::clone(semaphore).try_acquire_many_owned(permits).map_err(|_| Refusal::Overloaded)
        };
        let own = self.own.as_ref().map(acquire).transpose()?;
        let all = acquire(&self.all)?;
        add(&mut taken.all, all);
        if let Some(own) = own {
            add(&mut taken.own, own);
        }
        Ok(())
    }
}

fn add(taken: &mut Option<OwnedSemaphorePermit>, more: OwnedSemaphorePermit) {
    match taken {
        Some(taken) => taken.merge(more),
        None => *taken = Some(more),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn room() -> Room {
        let (timeout, grace, rate_min) = (Duration::from_secs(30), Duration::from_secs(5), 1000);
        Room::new(&BodyLimits { bytes_max: 10, all_bytes_max: 100, timeout, grace, rate_min })
    }

    fn of(room: &Room, client: &str) -> ClientRoom {
        room.of(Some(client.parse().unwrap()))
    }

    fn take(room: &ClientRoom, bytes: usize) -> Result<Taken, Refusal> {
        let mut taken = Taken::default();
        room.take(bytes, &mut taken).map(|()| taken)
    }

    #[test]
    fn one_client_takes_half_of_the_room_and_no_more() {
        let all = room();
        let (one, same) = (of(&all, "2001:db8::1"), of(&all, "2001:db8::2:3:4:5"));
        let (other, unknown) = (of(&all, "192.0.2.1"), all.of(None));
        let mut first = take(&one, 30).unwrap();
        one.take(20, &mut first).unwrap();
        assert_eq!(take(&same, 1).unwrap_err(), Refusal::Overloaded, "of the same /64");
        let second = take(&other, 40).unwrap();
        assert_eq!(take(&other, 11).unwrap_err(), Refusal::Overloaded, "its half is full, the room is too");
        let third = take(&unknown, 10).unwrap();
        assert_eq!((take(&other, 1).unwrap_err(), all.left()), (Refusal::Overloaded, 0));
        drop(first);
        take(&same, 50).unwrap();
        drop((second, third));
        assert_eq!(all.left(), 100);
    }

    #[test]
    fn clients_that_have_left_are_forgotten() {
        let all = room();
        let stays = of(&all, "192.0.2.1");
        let _taken = take(&stays, 50).unwrap();
        for number in (0_u32..).take(3 * CLIENTS_BEFORE_CLEANING) {
            drop(all.of(Some(IpAddr::V4(number.into()))));
        }
        assert!(all.clients.lock().unwrap().len() <= CLIENTS_BEFORE_CLEANING);
        assert_eq!(
            take(&of(&all, "192.0.2.1"), 1).unwrap_err(),
            Refusal::Overloaded,
            "this one has not left"
        );
    }
}
