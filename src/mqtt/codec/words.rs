//! Packets in words, for whoever traces a client.

use std::fmt;

use super::{Packet, Reply};

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(_) => f.write_str("CONNECT"),
            Self::Publish(publish) => {
                write!(f, "PUBLISH QoS {} on {}, {} bytes", publish.qos, publish.topic, publish.payload.len())
            }
            Self::PubAck { id, reason } => write!(f, "PUBACK {id}, reason {reason:#04x}"),
            Self::PubRec { id } => write!(f, "PUBREC {id}"),
            Self::PubRel { id } => write!(f, "PUBREL {id}"),
            Self::PubComp => f.write_str("PUBCOMP"),
            Self::Subscribe { id, filters, .. } => {
                let names: Vec<&str> = filters.iter().map(|filter| filter.text.as_str()).collect();
                write!(f, "SUBSCRIBE {id} to {}", names.join(" "))
            }
            Self::Unsubscribe { id, filters } => write!(f, "UNSUBSCRIBE {id} from {}", filters.join(" ")),
            Self::Ping => f.write_str("PINGREQ"),
            Self::Disconnect { reason, .. } => write!(f, "DISCONNECT, reason {reason:#04x}"),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnAck(answer) => {
                write!(f, "CONNACK, reason {:#04x}, session present {}", answer.reason, answer.session_present)
            }
            Self::PubAck { id, reason } => write!(f, "PUBACK {id}, reason {reason:#04x}"),
            Self::PubRec { id, reason } => write!(f, "PUBREC {id}, reason {reason:#04x}"),
            Self::PubRel { id, reason } => write!(f, "PUBREL {id}, reason {reason:#04x}"),
            Self::PubComp { id, reason } => write!(f, "PUBCOMP {id}, reason {reason:#04x}"),
            Self::SubAck { id, codes } => write!(f, "SUBACK {id}, codes {codes:02x?}"),
            Self::UnsubAck { id, codes } => write!(f, "UNSUBACK {id}, codes {codes:02x?}"),
            Self::Pong => f.write_str("PINGRESP"),
            Self::Disconnect { reason } => write!(f, "DISCONNECT, reason {reason:#04x}"),
        }
    }
}
