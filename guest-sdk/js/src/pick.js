/** Picks by event time: which text a group had first or last, whatever the order in which its rows arrive. */

import { compareTexts } from "./text.js";

/** A text and its time; no text at first. */
class TimedText {
  timeMs = null;
  text = null;

  /** Less than, equal to or greater than 0 as what is kept stands before, at or behind the text of that moment. */
  compare(timeMs, text) {
    return this.timeMs - timeMs || compareTexts(this.text, text);
  }

  keep(timeMs, text) {
    this.timeMs = timeMs;
    this.text = text;
  }
}

/** The text with the latest time, of those that are not empty; of one moment the greatest text. */
export class LatestText extends TimedText {
  /** Takes `text` if it is later. */
  offer(eventTimeMs, text) {
    if (text === null || text === "") return;
    if (this.text === null || this.compare(eventTimeMs, text) < 0) this.keep(eventTimeMs, text);
  }

  /** Takes the text of `other` if it is later. */
  merge(other) {
    if (other.text !== null) this.offer(other.timeMs, other.text);
  }

  /** The text, or null. */
  get() {
    return this.text;
  }
}

/** The text with the earliest time, of those that are not empty; of one moment the least text. */
export class EarliestText extends TimedText {
  /** Takes `text` if it is earlier. */
  offer(eventTimeMs, text) {
    if (text === null || text === "") return;
    if (this.text === null || this.compare(eventTimeMs, text) > 0) this.keep(eventTimeMs, text);
  }

  /** Takes the text of `other` if it is earlier. */
  merge(other) {
    if (other.text !== null) this.offer(other.timeMs, other.text);
  }

  /** The text if it is not later than `eventTimeMs`, or null. */
  until(eventTimeMs) {
    return this.text !== null && this.timeMs <= eventTimeMs ? this.text : null;
  }
}
