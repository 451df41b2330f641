use proptest::prelude::*;

use super::*;

const HOUR: Duration = Duration::from_hours(1);

fn body(n: u8) -> BodyDigest {
    BodyDigest::of(&[n])
}

fn id(n: u8) -> EventId {
    EventId::parse(&format!("github:d-{n}")).unwrap()
}

/// Claims and stores at once.
fn store(window: &mut Window, bytes: u8, under: u8, now: Instant) -> Sight {
    let sight = window.claim(body(bytes), &id(under), now);
    window.settle(body(bytes), &id(under), true, now);
    sight
}

#[test]
fn a_body_under_another_id_is_a_replay_until_the_window_ends() {
    let (mut window, start) = (Window::new(10, HOUR), Instant::now());
    assert_eq!(store(&mut window, 1, 1, start), Sight::New);
    assert_eq!(store(&mut window, 1, 1, start), Sight::Again);
    assert_eq!(window.claim(body(1), &id(2), start + Duration::from_mins(59)), Sight::Replayed);
    assert_eq!(window.claim(body(1), &id(2), start + HOUR), Sight::New);
}

#[test]
fn what_was_not_stored_leaves_nothing() {
    let (mut window, now) = (Window::new(10, HOUR), Instant::now());
    assert_eq!(window.claim(body(1), &id(1), now), Sight::New);
    assert_eq!(window.claim(body(1), &id(2), now), Sight::InHand);
    assert_eq!(window.claim(body(1), &id(1), now), Sight::Again, "the sender tries again meanwhile");
    window.settle(body(1), &id(1), false, now);
    assert_eq!(window.claim(body(1), &id(2), now), Sight::InHand, "one of the two is still in hand");
    window.settle(body(1), &id(1), false, now);
    assert_eq!(window.claim(body(1), &id(2), now), Sight::New);
}

#[test]
fn the_oldest_goes_first() {
    let (mut window, now) = (Window::new(2, HOUR), Instant::now());
    for n in 1..=3 {
        store(&mut window, n, n, now);
    }
    assert_eq!(window.claim(body(1), &id(9), now), Sight::New);
    assert_eq!(window.claim(body(2), &id(9), now), Sight::Replayed);
    assert_eq!(window.claim(body(3), &id(9), now), Sight::Replayed);
}

proptest! {
    /// Against a plain list of what was stored when.
    #[test]
    fn it_knows_exactly_what_was_stored_lately_and_no_more(
        steps in prop::collection::vec((0..8_u8, 0..4_u8, any::<bool>(), 0..20_u64), 0..200)
    ) {
        const ENTRIES_MAX: usize = 4;
        const AGE_MAX: Duration = Duration::from_mins(1);
        let (mut window, mut now) = (Window::new(ENTRIES_MAX, AGE_MAX), Instant::now());
        let mut expected: Vec<(Instant, u8, u8)> = Vec::new();
        for (bytes, under, stored, seconds) in steps {
            now += Duration::from_secs(seconds);
            expected.retain(|(at, ..)| now.duration_since(*at) < AGE_MAX);
            let known = expected.iter().find(|(_, known, _)| *known == bytes);
            let sight = match known {
                None => Sight::New,
                Some((.., first)) if *first == under => Sight::Again,
                Some(_) => Sight::Replayed,
            };
            prop_assert_eq!(window.claim(body(bytes), &id(under), now), sight);
            window.settle(body(bytes), &id(under), stored, now);
            if stored && sight == Sight::New {
                if expected.len() == ENTRIES_MAX {
                    expected.remove(0);
                }
                expected.push((now, bytes, under));
            }
            prop_assert!(window.stored.len() <= ENTRIES_MAX);
            prop_assert_eq!(window.stored.len(), window.order.len());
            prop_assert!(window.in_hand.is_empty());
        }
    }

    #[test]
    fn claims_that_are_never_settled_are_bounded_too(bodies in prop::collection::vec(any::<u8>(), 0..300)) {
        let (mut window, now) = (Window::new(4, HOUR), Instant::now());
        for n in bodies {
            window.claim(body(n), &id(n), now);
            prop_assert!(window.in_hand.len() <= 4);
        }
    }
}
