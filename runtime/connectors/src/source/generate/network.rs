//! The world in which sessions live: orchestrators, gateways, pipelines.

use super::random::Random;

/// How many orchestrators there are.
const ORCHESTRATORS: usize = 50;

/// Gateways, as envelopes name them; the empty one is real.
pub(crate) const GATEWAYS: [&str; 4] =
    ["", "cloud-spe-ai-live-video-tester-mdw", "cloud-spe-ai-live-video-tester-fra", "daydream-gateway-lax"];

/// Pipelines, as statuses name them.
pub(crate) const PIPELINES: [&str; 3] =
    ["streamdiffusion-sdxl-v2v", "streamdiffusion-sdxl-faceid", "streamdiffusion-sdxl"];

const GPUS: [&str; 3] = ["NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 5090", "NVIDIA L40S"];

/// Who there is.
pub(crate) struct Network {
    pub(crate) orchestrators: Vec<Orchestrator>,
}

/// One orchestrator.
pub(crate) struct Orchestrator {
    /// Where tickets go, in mixed case. Not what events carry.
    pub(crate) address: String,
    /// In mixed case; events carry it in lower case.
    pub(crate) local_address: String,
    /// The local address as events carry it.
    pub(crate) event_address: String,
    pub(crate) url: String,
    pub(crate) gpu: &'static str,
    /// How far its clock is behind, in milliseconds.
    pub(crate) clock_behind_ms: i64,
    /// Frames per second that it reaches.
    pub(crate) fps: f64,
}

impl Network {
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut orchestrators: Vec<Orchestrator> = Vec::with_capacity(ORCHESTRATORS);
        for place in 0..ORCHESTRATORS {
            let local_address = match place {
                // One machine, two registrations: its local address alone does not say whose it is.
                1..=5 => orchestrators[0].local_address.clone(),
                _ => address(random),
            };
            let own = if random.chance(0.45) { local_address.clone() } else { address(random) };
            orchestrators.push(Orchestrator {
                address: own,
                event_address: local_address.to_lowercase(),
                local_address,
                url: format!("https://orchestrator-{place:02}.example.net:{}", 8935 + place),
                gpu: random.pick(&GPUS),
                clock_behind_ms: if random.chance(0.2) { random.between(1_000, 2_000) } else { random.between(-3, 3) },
                fps: 16.0 + 2.5 * random.unit(),
            });
        }
        Self { orchestrators }
    }

    pub(crate) fn pick(&self, random: &mut Random) -> usize {
        random.between(0, self.orchestrators.len() as i64 - 1) as usize
    }
}

/// `0x` and 40 hexadecimal digits of mixed case.
fn address(random: &mut Random) -> String {
    let digit = |random: &mut Random| {
        let digit = char::from_digit(random.between(0, 15) as u32, 16).expect("below 16");
        if random.chance(0.5) { digit.to_ascii_uppercase() } else { digit }
    };
    format!("0x{}", (0..40).map(|_| digit(random)).collect::<String>())
}
