//! Who is connected: a bound on all, a bound on each, and room for those who come when all places are taken.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::client::network;
use super::counts::Counts;
use super::patience::Patience;
use super::{Limits, TrustedProxies};

/// How soon after having found nobody who can leave.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The places of one listener. Clones share them.
#[derive(Clone)]
pub(super) struct House(Arc<Inner>);

struct Inner {
    places: Arc<Semaphore>,
    client_max: usize,
    trusted: TrustedProxies,
    guests: Mutex<Guests>,
    counts: Counts,
}

#[derive(Default)]
struct Guests {
    next: u64,
    served: HashMap<u64, Guest>,
    /// How many connections each client has, those that wait for a place included.
    clients: HashMap<IpAddr, usize>,
}

struct Guest {
    client: IpAddr,
    patience: Patience,
    leave: CancellationToken,
}

/// A connection that was let in, with a place or waiting for one.
pub(super) struct Visit {
    house: House,
    client: IpAddr,
}

/// A connection that is served. Its place is free again once this is dropped.
pub(super) struct Place {
    number: u64,
    /// Cancelled when the place is needed for another.
    pub(super) leave: CancellationToken,
    _permit: OwnedSemaphorePermit,
    visit: Visit,
}

impl House {
    pub(super) fn new(limits: &Limits, counts: Counts) -> Self {
        Self(Arc::new(Inner {
            places: Arc::new(Semaphore::new(limits.connections_max)),
            client_max: limits.client_connections_max,
            trusted: limits.trusted_proxies.clone(),
            guests: Mutex::default(),
            counts,
        }))
    }

    /// Whether all places are taken: nobody may keep one for later.
    pub(super) fn is_full(&self) -> bool {
        self.0.places.available_permits() == 0
    }

    /// Lets a connection in, unless its client has too many.
    pub(super) fn enter(&self, peer: IpAddr) -> Option<Visit> {
        let client = network(peer);
        let mut guests = self.guests();
        let count = guests.clients.entry(client).or_default();
        if *count >= self.0.client_max && !self.0.trusted.trusts(peer) {
            return None;
        }
        *count += 1;
        Some(Visit { house: self.clone(), client })
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        // Nothing panics while it is held.
        self.0.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    /// Waits for a place. When all are taken, the connection that has given us nothing to do for the longest time must
    /// leave, of the client that has most of them: so whoever fills the house makes room for others by it, and at worst
    /// all clients are slowed alike.
    pub(super) async fn place(self, patience: Patience) -> Place {
        let places = Arc::clone(&self.house.0.places);
        let permit = loop {
            if let Ok(permit) = Arc::clone(&places).try_acquire_owned() {
                break permit;
            }
            if self.house.guests().make_room() {
                self.house.0.counts.fault("place_needed");
            }
            // The semaphore is never closed. Who is being answered now may rest a moment later.
            if let Ok(Ok(permit)) = timeout(LOOK_AGAIN, Arc::clone(&places).acquire_owned()).await {
                break permit;
            }
        };
        let leave = CancellationToken::new();
        let guest = Guest { client: self.client, patience, leave: leave.clone() };
        let mut guests = self.house.guests();
        let number = guests.next;
        guests.next += 1;
        guests.served.insert(number, guest);
        drop(guests);
        self.house.0.counts.connected(1);
        Place { number, leave, _permit: permit, visit: self }
    }
}

impl Guests {
    /// Tells one to leave, if any can.
    fn make_room(&self) -> bool {
        let idle = self.served.values().filter(|guest| !guest.leave.is_cancelled()).filter_map(|guest| {
            let connections = self.clients.get(&guest.client).copied().unwrap_or_default();
            Some((connections, std::cmp::Reverse(guest.patience.waits_since()?), guest))
        });
        let longest = idle.max_by_key(|(connections, since, _)| (*connections, *since));
        if let Some((.., guest)) = &longest {
            guest.leave.cancel();
        }
        longest.is_some()
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.house.guests().clients.entry(self.client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.visit.house.guests().served.remove(&self.number);
        self.visit.house.0.counts.connected(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn house(connections_max: usize, client_connections_max: usize) -> House {
        let trusted_proxies = TrustedProxies::parse("10.0.0.1").unwrap();
        let limits = Limits { connections_max, client_connections_max, trusted_proxies, ..Limits::default() };
        House::new(&limits, Counts::default())
    }

    fn client(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    async fn place(house: &House, n: u8) -> (Place, Patience) {
        let patience = Patience::new(LONG, LONG);
        (house.enter(client(n)).unwrap().place(patience.clone()).await, patience)
    }

    #[tokio::test]
    async fn each_client_has_its_own_bound_and_leaves_nothing_behind() {
        let house = house(100, 2);
        let (one, _) = place(&house, 1).await;
        let waiting = house.enter(client(1)).unwrap();
        assert!(house.enter(client(1)).is_none(), "those that wait count");
        assert!(house.enter(client(2)).is_some());
        drop(waiting);
        assert!(house.enter(client(1)).is_some());
        let of_proxy: Vec<_> = (0..10).map(|_| house.enter([10, 0, 0, 1].into()).unwrap()).collect();
        drop((one, of_proxy));
        assert!(house.guests().clients.is_empty() && house.guests().served.is_empty());
    }

    #[tokio::test]
    async fn the_client_with_most_connections_makes_room_and_its_longest_resting_one_goes_first() {
        let house = house(4, 4);
        let (lone, _) = place(&house, 1).await;
        let (busy, patience) = place(&house, 2).await;
        patience.request_came();
        let (resting, _) = place(&house, 2).await;
        let (later, _) = place(&house, 2).await;
        assert!(house.is_full());
        let newcomer = tokio::spawn({
            let visit = house.enter(client(3)).unwrap();
            visit.place(Patience::new(LONG, LONG))
        });
        resting.leave.cancelled().await;
        assert!(![&lone, &busy, &later].iter().any(|place| place.leave.is_cancelled()));
        drop(resting);
        newcomer.await.unwrap();
    }

    #[tokio::test]
    async fn nobody_who_is_being_answered_must_leave() {
        let house = house(1, 4);
        let (busy, patience) = place(&house, 1).await;
        patience.request_came();
        let visit = house.enter(client(2)).unwrap();
        let newcomer = tokio::spawn(visit.place(Patience::new(LONG, LONG)));
        tokio::task::yield_now().await;
        assert!(!busy.leave.is_cancelled() && !newcomer.is_finished());
        drop(busy);
        newcomer.await.unwrap();
    }
}
