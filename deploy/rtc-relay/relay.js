// Relays the messages of an RTC room to the livestream monitor, for one job.
//
// A page inside the room makes one LivestreamRelay and hands it each message that the room delivers. The
// relay numbers the messages, keeps them in the browser's storage until the monitor has taken them, and
// sends them in order, a batch at a time. Nothing is lost by a monitor that is away, by a page that is
// reloaded or by a network that comes and goes; what arrives twice, the monitor knows by its number.
//
// See README.md for how to include it.

"use strict";

class LivestreamRelay {
  // options.endpoint: https://<monitor>/rtc/<source>/<job id>.
  // options.token: what `monitor jobs rtc-token` printed for this job.
  // options.onProblem: told a sentence when messages can't be delivered, and null when they can again.
  // options.flushEveryMs: how long messages are gathered before a batch leaves.
  // options.longestWaitMs: the longest wait between two tries while the monitor is away.
  constructor({ endpoint, token, onProblem = () => {}, flushEveryMs = 1000, longestWaitMs = 30000 }) {
    this.endpoint = endpoint;
    this.onProblem = onProblem;
    this.flushEveryMs = flushEveryMs;
    this.longestWaitMs = longestWaitMs;
    this.dropped = 0;
    this._token = token;
    this._early = [];
    this._queue = [];
    this._bytes = 0;
    this._failures = 0;
    this._batchLimit = LivestreamRelay.MOST_MESSAGES;
    this._timer = null;
    this._sending = false;
    this._inFlight = 0;
    this._closed = false;
    this._problem = null;
    this._prefix = `${LivestreamRelay.PREFIX}${endpoint} `;
    this._awaited = new Set();
    this._ended = new AbortController();
    const { signal } = this._ended;
    addEventListener("online", () => this._schedule(0), { signal });
    addEventListener("pagehide", () => this._leave(), { signal });
    addEventListener("storage", (event) => this._notice(event), { signal });
    this.ready = this._start();
  }

  // Take a message as the room's SDK delivers it: a text, its bytes, or an object.
  take(message) {
    if (message instanceof ArrayBuffer || ArrayBuffer.isView(message)) {
      message = new TextDecoder().decode(message);
    }
    if (this._early !== null) {
      this._early.push([message, Date.now()]);
      return;
    }
    this._number(message, Date.now());
    this._schedule(this.flushEveryMs);
  }

  // Use another token, after the first one has expired.
  setToken(token) {
    this._token = token;
    this._failures = 0;
    this._schedule(0);
  }

  // How many messages wait.
  get waiting() {
    return this._queue.length + (this._early === null ? 0 : this._early.length);
  }

  // Stop relaying; what waits stays in the storage for another page of this job.
  close() {
    this._closed = true;
    clearTimeout(this._timer);
    this._ended.abort();
    if (this._release) this._release();
  }

  async _start() {
    await this._takeName();
    await this._adoptAll();
    this._numberEarly();
    this._schedule(0);
  }

  // What came before there was a name gets its numbers.
  _numberEarly() {
    const early = this._early ?? [];
    this._early = null;
    for (const [message, at] of early) this._number(message, at);
  }

  // The page goes: what came before there was a name is kept as well, and what waits is tried once more.
  _leave() {
    if (this._early !== null) {
      this._takeNewName();
      this._numberEarly();
    }
    this._send(true);
  }

  // Put a message into its envelope: whose it is, its number, and when the room told it.
  _number(message, at) {
    this._seq += 1;
    this._keepNumber();
    const text = JSON.stringify({ relay: this._id, seq: this._seq, at_ms: at, message });
    this._enqueue({ key: this._key(this._id, this._seq), text }, true);
  }

  // A tab keeps its name over a reload, so that the monitor goes on following it. A tab that was copied
  // has its original's name: whoever comes second finds the lock held and takes a name of its own.
  async _takeName() {
    const known = this._read(sessionStorage, LivestreamRelay.NAME);
    const reached = this._read(sessionStorage, LivestreamRelay.SEQ + known);
    if (reached !== null && (await this._hold(known))) {
      this._id = known;
      this._seq = Number(reached);
      return;
    }
    this._takeNewName();
    await this._hold(this._id);
  }

  _takeNewName() {
    this._id = LivestreamRelay.newName();
    this._seq = 0;
    this._write(sessionStorage, LivestreamRelay.NAME, this._id);
    this._keepNumber();
  }

  // Beside the name: a page may have several relays, and each counts for itself.
  _keepNumber() {
    this._write(sessionStorage, LivestreamRelay.SEQ + this._id, String(this._seq));
  }

  // True if no other page has this name; it is ours then until the page goes.
  _hold(name) {
    if (!navigator.locks) return Promise.resolve(false);
    return new Promise((resolve) => {
      navigator.locks
        .request(LivestreamRelay.PREFIX + name, { ifAvailable: true }, (lock) => {
          resolve(lock !== null);
          // A relay that was closed meanwhile holds nothing that another one waits for.
          if (lock === null || this._closed) return undefined;
          return new Promise((release) => {
            this._release = release;
          });
        })
        .catch(() => resolve(false));
    });
  }

  // Take over what other pages of this job could not deliver: of those that are gone now, of others once
  // they go.
  async _adoptAll() {
    const held = new Set();
    if (navigator.locks) {
      for (const lock of (await navigator.locks.query()).held) held.add(lock.name);
    }
    for (const name of this._names()) {
      if (name !== this._id && held.has(LivestreamRelay.PREFIX + name)) this._awaitEndOf(name);
      else this._adopt(name);
    }
  }

  // Take over what is kept under a name, in its order.
  _adopt(name) {
    const waiting = new Set(this._queue.map((item) => item.key));
    const kept = [];
    for (const key of this._keys()) {
      if (waiting.has(key) || !key.startsWith(this._key(name, ""))) continue;
      const text = this._read(localStorage, key);
      if (text !== null) kept.push({ seq: Number(key.split(" ").at(-1)), key, text });
    }
    kept.sort((one, other) => one.seq - other.seq);
    for (const { seq, key, text } of kept) {
      if (name === this._id) this._seq = Math.max(this._seq, seq);
      this._enqueue({ key, text }, false);
    }
  }

  // Another page has begun to keep messages.
  _notice({ key, newValue }) {
    if (navigator.locks && newValue !== null && key.startsWith(this._prefix)) this._awaitEndOf(this._nameOf(key));
  }

  // Take over what a page leaves behind once it is gone, and its name's lock with it. Where several pages
  // wait for that, each sends it; what arrives twice, the monitor knows.
  _awaitEndOf(name) {
    if (this._awaited.has(name)) return;
    this._awaited.add(name);
    navigator.locks
      .request(LivestreamRelay.PREFIX + name, { signal: this._ended.signal }, () => {
        this._awaited.delete(name);
        this._adopt(name);
        this._schedule(0);
      })
      .catch(() => {
        // This page is closed itself.
      });
  }

  _enqueue(item, isNew) {
    item.bytes = LivestreamRelay.sizeOf(item.text);
    this._queue.push(item);
    this._bytes += item.bytes;
    if (isNew) this._write(localStorage, item.key, item.text);
    while (this._bytes > LivestreamRelay.MOST_KEPT_BYTES && this._queue.length > 1) {
      // What is being sent stays in front; it leaves when the monitor has it.
      this._remove(this._sending ? Math.min(this._inFlight, this._queue.length - 1) : 0, 1);
      this.dropped += 1;
    }
  }

  _remove(start, count) {
    for (const item of this._queue.splice(start, count)) {
      this._bytes -= item.bytes;
      try {
        localStorage.removeItem(item.key);
      } catch {
        // Without storage there is nothing to remove.
      }
    }
  }

  _schedule(wait) {
    if (this._closed || this._sending || this._early !== null) return;
    if (wait === 0) clearTimeout(this._timer);
    else if (this._timer !== null) return;
    this._timer = setTimeout(() => {
      this._timer = null;
      this._send(false);
    }, wait);
  }

  _batch() {
    const batch = [];
    let bytes = 2;
    for (const item of this._queue) {
      const more = item.bytes + 1;
      if (batch.length === this._batchLimit || (batch.length && bytes + more > LivestreamRelay.MOST_BYTES)) break;
      batch.push(item.text);
      bytes += more;
    }
    return batch;
  }

  async _send(isLeaving) {
    if (this._sending || this._closed || this._early !== null || this._queue.length === 0) return;
    clearTimeout(this._timer);
    this._timer = null;
    const batch = this._batch();
    this._sending = true;
    this._inFlight = batch.length;
    let status = 0;
    try {
      const answer = await fetch(this.endpoint, {
        method: "POST",
        headers: { authorization: `Bearer ${this._token}`, "content-type": "application/json" },
        body: `[${batch.join(",")}]`,
        credentials: "omit",
        cache: "no-store",
        keepalive: isLeaving,
        signal: isLeaving ? undefined : AbortSignal.timeout(LivestreamRelay.ANSWER_MS),
      });
      status = answer.status;
    } catch {
      status = 0;
    }
    this._sending = false;
    this._judge(status, batch.length);
  }

  // What an answer means: 200 is the only one after which a message may be forgotten.
  _judge(status, count) {
    if (status === 200) {
      this._remove(0, count);
      this._failures = 0;
      this._batchLimit = Math.min(LivestreamRelay.MOST_MESSAGES, this._batchLimit * 2);
      this._tell(null);
      if (this._queue.length) this._schedule(this._queue.length >= count ? 0 : this.flushEveryMs);
      return;
    }
    if (status === 413) {
      if (count === 1) {
        this._remove(0, 1);
        this.dropped += 1;
      }
      this._batchLimit = Math.max(1, Math.floor(count / 2));
      this._schedule(this.flushEveryMs);
      return;
    }
    this._failures += 1;
    this._tell(LivestreamRelay.sentence(status));
    // A refusal won't mend itself in a second; somebody has to bring another token or set the monitor right.
    const refused = status >= 400 && status < 500 && status !== 408 && status !== 429;
    const wait = refused ? this.longestWaitMs : this.flushEveryMs * 2 ** Math.min(this._failures, 16);
    this._schedule(Math.min(this.longestWaitMs, wait) * (0.5 + Math.random() / 2) + 1);
  }

  _tell(problem) {
    if (problem === this._problem) return;
    this._problem = problem;
    this.onProblem(problem);
  }

  _key(name, seq) {
    return `${this._prefix}${name} ${seq}`;
  }

  _nameOf(key) {
    return key.slice(this._prefix.length).split(" ")[0];
  }

  // Whose messages of this job are kept. What is too old, of whatever job, is forgotten.
  _names() {
    const names = new Set();
    for (const key of this._keys()) {
      const at = LivestreamRelay.timeOf(this._read(localStorage, key));
      if (at === null || Date.now() - at > LivestreamRelay.LONGEST_KEPT_MS) localStorage.removeItem(key);
      else if (key.startsWith(this._prefix)) names.add(this._nameOf(key));
    }
    return [...names].sort();
  }

  _keys() {
    try {
      return Object.keys(localStorage).filter((key) => key.startsWith(LivestreamRelay.PREFIX));
    } catch {
      return [];
    }
  }

  // Storage can be switched off or full: then messages are kept in memory alone.
  _read(storage, key) {
    try {
      return storage.getItem(key);
    } catch {
      return null;
    }
  }

  _write(storage, key, value) {
    try {
      storage.setItem(key, value);
    } catch {
      return;
    }
  }

  static timeOf(text) {
    try {
      const at = JSON.parse(text).at_ms;
      return typeof at === "number" ? at : null;
    } catch {
      return null;
    }
  }

  static sizeOf(text) {
    return new TextEncoder().encode(text).length;
  }

  static newName() {
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  static sentence(status) {
    if (status === 0) return "The monitor can't be reached; messages are kept.";
    if (status === 401) return "The monitor doesn't accept the token: it is wrong, or has expired.";
    if (status === 403) return "The monitor doesn't let this page's origin or address in.";
    if (status === 404) return "The monitor doesn't know this source.";
    return `The monitor answered ${status}; messages are kept.`;
  }
}

LivestreamRelay.PREFIX = "livestream-relay ";
LivestreamRelay.NAME = "livestream-relay name";
LivestreamRelay.SEQ = "livestream-relay seq ";
// Below the monitor's max_body_bytes (64 KiB), which is also what browsers send of a page that leaves.
LivestreamRelay.MOST_BYTES = 60000;
LivestreamRelay.MOST_MESSAGES = 500;
// Browsers give an origin about 5 MiB, and count two bytes a character.
LivestreamRelay.MOST_KEPT_BYTES = 2000000;
// Of a job that ended, nobody sends the rest; the monitor forgets ended jobs after a day as well.
LivestreamRelay.LONGEST_KEPT_MS = 24 * 3600 * 1000;
LivestreamRelay.ANSWER_MS = 15000;

globalThis.LivestreamRelay = LivestreamRelay;
