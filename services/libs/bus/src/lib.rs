//! The JetStream side: connect, provision, publish and pull; the only crate that names async-nats.
