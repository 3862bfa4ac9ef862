//! The broker itself: it answers when it says so, dies when told to, and comes back on the same port.

use std::net::TcpStream;
use test_kafka::{Settings, own};

#[test]
fn it_comes_back_after_it_was_killed() {
    let Some(broker) = own("test_kafka::it_comes_back_after_it_was_killed", &Settings::default()) else { return };
    assert!(TcpStream::connect(broker.address()).is_ok());
    broker.kill();
    assert!(TcpStream::connect(broker.address()).is_err());
    broker.start_again().expect("it starts");
    assert!(TcpStream::connect(broker.address()).is_ok());
    broker.stop();
    assert!(TcpStream::connect(broker.address()).is_err());
}
