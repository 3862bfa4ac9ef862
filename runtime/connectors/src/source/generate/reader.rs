//! Generated lines as a stream of bytes: as fast as it is read, or by the clock.

use super::Generator;
use std::io::{self, Read};
use std::time::Instant;

/// Lines made ahead of the reader, in bytes.
const AHEAD: usize = 64 * 1024;

/// A generator as a reader.
pub struct GeneratorReader {
    generator: Generator,
    lines: Vec<u8>,
    read: usize,
}

impl GeneratorReader {
    pub(crate) fn new(generator: Generator) -> Self {
        Self { generator, lines: Vec::with_capacity(2 * AHEAD), read: 0 }
    }
}

impl Read for GeneratorReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.lines.len() {
            self.lines.clear();
            self.read = 0;
            while self.lines.len() < AHEAD && self.generator.next_line(&mut self.lines) {}
        }
        let count = (&self.lines[self.read..]).read(buffer)?;
        self.read += count;
        Ok(count)
    }
}

/// A generator that keeps to a number of lines a second: reads return nothing where nothing is due.
pub(crate) struct Paced {
    generator: Generator,
    per_second: u32,
    started: Instant,
    /// Lines made since then.
    made: u64,
    lines: Vec<u8>,
    read: usize,
}

impl Paced {
    /// Starts behind the first `position` bytes, which are made at once.
    pub(crate) fn new(mut generator: Generator, per_second: u32, position: u64) -> Self {
        let (mut lines, mut made) = (Vec::new(), 0);
        while made < position {
            lines.clear();
            generator.next_line(&mut lines);
            made += lines.len() as u64;
        }
        let read = lines.len() - (made - position) as usize;
        Self { generator, per_second, started: Instant::now(), made: 0, lines, read }
    }
}

impl Read for Paced {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.lines.len() {
            self.lines.clear();
            self.read = 0;
            let due = (self.started.elapsed().as_secs_f64() * f64::from(self.per_second)) as u64;
            while self.made < due && self.lines.len() < AHEAD && self.generator.next_line(&mut self.lines) {
                self.made += 1;
            }
        }
        let count = (&self.lines[self.read..]).read(buffer)?;
        self.read += count;
        Ok(count)
    }
}
