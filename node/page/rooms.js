/**
 * What one window knows about one room. Pure functions: a room in, the next room out; no DOM, no socket.
 *
 * Two rules hold it together. A message is its (room, epoch, offset): whatever way it comes, it is
 * kept once. `position` is the last offset up to which nothing is missing, and the only thing a
 * JOIN may give as `since`.
 */

/**
 * @typedef {import("./protocol.js").Message} Message
 * @typedef {import("./protocol.js").Frame} Frame
 *
 * @typedef {object} Pending a message of ours that the node has not acknowledged
 * @property {string} key
 * @property {string} content
 * @property {number} timestamp ms, our clock
 * @property {string | null} problem why it failed; null while it is on its way
 * @property {number} tries how often the node refused it for now
 * @property {boolean} slow it waits because the node asked for a pause
 * @property {boolean} sent a PUBLISH went out, on this connection or an earlier one
 * @property {boolean} landed it came back among the missed messages: shown there, until its ACK
 *
 * @typedef {object} Gap messages that were not sent to us
 * @property {number} from @property {number} to @property {string} reason
 *
 * @typedef {object} Cue somebody entered or left, in the order it happened
 * @property {string} user @property {boolean} entered @property {number} after offset it came after
 *
 * @typedef {object} Room
 * @property {string} name
 * @property {boolean} joined the node has us in the room on the present connection
 * @property {string | null} problem why we are not in it, in words
 * @property {string | null} epoch null before the first JOIN_OK
 * @property {number} position
 * @property {number} read the last offset the user has seen
 * @property {number | null} firstNew where the "new" line stands
 * @property {readonly Message[]} messages by offset
 * @property {readonly Pending[]} pending in the order they were written
 * @property {readonly Gap[]} gaps
 * @property {readonly Cue[]} cues
 * @property {boolean} restarted the epoch changed while we were here
 * @property {"no" | "loading" | "yes"} history whether the latest page was read
 * @property {boolean} older more can be read backwards
 * @property {boolean} loadingOlder
 * @property {readonly import("./protocol.js").Member[] | null} members null: not known yet
 * @property {number} memberCount
 * @property {ReadonlySet<string>} returning who was here when the connection was lost: their coming
 *   back is no entrance
 * @property {ReadonlyMap<string, number>} typing user → when to stop showing it (ms)
 */

/** Messages kept for a room that is not being read back: then memory is bounded in an open tab. */
export const MAX_KEPT = 1_000;

/** Entrances and exits worth showing; older ones are history nobody asks for. */
const MAX_CUES = 12;

/** @param {string} name @returns {Room} */
export function newRoom(name) {
  return {
    name,
    joined: false,
    problem: null,
    epoch: null,
    position: 0,
    read: 0,
    firstNew: null,
    messages: [],
    pending: [],
    gaps: [],
    cues: [],
    restarted: false,
    history: "no",
    older: false,
    loadingOlder: false,
    members: null,
    memberCount: 0,
    returning: new Set(),
    typing: new Map(),
  };
}

/**
 * JOIN_OK. Without recovery the list starts afresh at the node's head; nothing unsent is touched.
 *
 * @param {Room} room
 * @param {Frame} reply
 * @param {string} user us
 * @param {{epoch: string, read: number} | null} remembered what the user had seen in an earlier visit
 * @returns {Room}
 */
export function joined(room, reply, user, remembered = null) {
  const entered = { ...room, joined: true, problem: null, memberCount: reply.members };
  if (reply.recovered) {
    const whole = merge({ ...entered, pending: landed(room.pending, reply.messages, user) }, reply.messages);
    return { ...whole, position: Math.max(whole.position, reply.offset) };
  }
  const known = room.epoch !== null ? room : remembered;
  const stillValid = known !== null && known.epoch === reply.epoch && known.read <= reply.offset;
  const afresh = restarted(entered, reply.epoch, reply.offset);
  return {
    ...afresh,
    read: stillValid ? known.read : reply.offset,
    restarted: room.epoch !== null && room.epoch !== reply.epoch,
  };
}

/**
 * What was stored while its ACK was lost stands among the missed messages. It is published again
 * under its key all the same, and only then known to be this one; until then it must not show twice.
 *
 * @param {readonly Pending[]} pending
 * @param {readonly Message[]} missed
 * @param {string} user us
 * @returns {Pending[]}
 */
function landed(pending, missed, user) {
  const own = missed.filter((message) => message.user === user).map((message) => message.content);
  return pending.map((each) => {
    const place = each.sent ? own.indexOf(each.content) : -1;
    if (place >= 0) own.splice(place, 1);
    return { ...each, landed: place >= 0 };
  });
}

/**
 * Nothing we have connects to what comes: begin at the node's head and read the history again.
 *
 * @param {Room} room @param {string} epoch @param {number} offset
 * @returns {Room}
 */
function restarted(room, epoch, offset) {
  return {
    ...room,
    epoch,
    position: offset,
    read: offset,
    firstNew: null,
    messages: [],
    gaps: [],
    cues: [],
    restarted: true,
    history: "no",
    older: false,
    loadingOlder: false,
  };
}

/**
 * The connection was lost. What was said, read and written stays; who is here is not known any more.
 *
 * @param {Room} room
 * @returns {Room}
 */
export function disconnected(room) {
  if (!room.joined) return room;
  const returning = room.members ? new Set(room.members.map((member) => member.user)) : room.returning;
  const history = room.history === "loading" ? "no" : room.history;
  return { ...room, joined: false, loadingOlder: false, history, members: null, returning, typing: new Map() };
}

/**
 * MESSAGE.
 *
 * @param {Room} room
 * @param {Message} message
 * @returns {Room}
 */
export function received(room, message) {
  const typing = new Map(room.typing);
  typing.delete(message.user);
  return trimmed(merge({ ...room, typing }, [message]));
}

/**
 * ACK: our pending message takes its place in the room.
 *
 * @param {Room} room
 * @param {string} key
 * @param {Frame} ack
 * @param {string} user us
 * @returns {Room}
 */
export function acknowledged(room, key, ack, user) {
  const pending = room.pending.find((each) => each.key === key);
  const rest = { ...room, pending: room.pending.filter((each) => each.key !== key) };
  if (!pending) return rest;
  const { epoch, offset, message_id, timestamp } = ack;
  return merge(rest, [{ epoch, offset, message_id, timestamp, user, content: pending.content }]);
}

/**
 * HISTORY_OK: the latest page, or one before what we have, or the messages of a gap.
 *
 * @param {Room} room
 * @param {Frame} reply
 * @param {"latest" | "before" | "gap"} asked
 * @returns {Room}
 */
export function historyRead(room, reply, asked) {
  if (reply.epoch !== room.epoch) return { ...room, history: "no", loadingOlder: false };
  const page = merge(room, reply.messages);
  if (asked === "gap") return page;
  // The latest page may lie wholly after what a busy room has sent us; then `older` is not its to say.
  const reachesBack = reply.messages.length === 0 || reply.messages[0].offset <= page.messages[0].offset;
  return {
    ...page,
    history: asked === "latest" ? "yes" : page.history,
    older: reachesBack ? reply.more : room.older,
    loadingOlder: false,
  };
}

/**
 * GAP.
 *
 * @param {Room} room
 * @param {Frame} push
 * @returns {Room}
 */
export function gapped(room, push) {
  // A history may also have been put back under the same epoch: then it ends below where we are.
  const another = push.epoch !== room.epoch || (push.reason === "epoch" && push.to < room.position);
  if (another) return restarted(room, push.epoch, push.to);
  if (push.reason === "epoch") return { ...room, restarted: true };
  if (push.to < push.from) return room;
  const others = room.gaps.filter((gap) => gap.from !== push.from);
  const gaps = [...others, { from: push.from, to: push.to, reason: push.reason }];
  // What will never be sent must not hold the position back.
  const position = push.from <= room.position + 1 ? Math.max(room.position, push.to) : room.position;
  return advanced({ ...room, gaps, position });
}

/**
 * How many messages of a gap are still missing from what the list shows.
 *
 * What lies before the first message is not missing while older pages can be read.
 *
 * @param {Room} room
 * @param {Gap} gap
 */
export function missing(room, gap) {
  if (room.history !== "yes") return 0; // the page that is being read may well bring them
  const from = room.older && room.messages.length > 0 ? Math.max(gap.from, room.messages[0].offset) : gap.from;
  const present = room.messages.filter(({ offset }) => offset >= from && offset <= gap.to).length;
  return Math.max(0, gap.to - from + 1 - present);
}

/**
 * JOINED and LEFT.
 *
 * @param {Room} room
 * @param {Frame} push
 * @returns {Room}
 */
export function cameOrWent(room, push) {
  const counted = { ...room, memberCount: push.members };
  const { user } = push;
  if (!user) return counted; // a crowd: only the count is told
  const entered = push.type === "JOINED";
  const others = room.members?.filter((member) => member.user !== user) ?? null;
  const members = others && entered ? [...others, { user, connections: 1 }] : others;
  const typing = new Map(room.typing);
  if (!entered) typing.delete(user);
  if (entered && room.returning.has(user)) {
    const returning = new Set(room.returning);
    returning.delete(user);
    return { ...counted, members, typing, returning };
  }
  return { ...counted, members, typing, cues: withCue(room, user, entered) };
}

/**
 * A reload is an exit and an entrance at once: opposite neighbours cancel out.
 *
 * @param {Room} room @param {string} user @param {boolean} entered
 */
function withCue(room, user, entered) {
  const after = Math.max(room.position, room.messages.at(-1)?.offset ?? 0);
  const opposite = room.cues.findLastIndex((cue) => cue.user === user);
  if (opposite >= 0 && room.cues[opposite].entered !== entered && room.cues[opposite].after === after) {
    return room.cues.filter((_, index) => index !== opposite);
  }
  return [...room.cues, { user, entered, after }].slice(-MAX_CUES);
}

/**
 * PRESENCE_OK.
 *
 * @param {Room} room
 * @param {Frame} reply
 * @returns {Room}
 */
export function present(room, reply) {
  return { ...room, members: reply.members, memberCount: reply.members.length };
}

/** @param {Room} room @param {string} user @param {number} until ms @returns {Room} */
export function typed(room, user, until) {
  return { ...room, typing: new Map(room.typing).set(user, until) };
}

/** @param {Room} room @param {number} now ms @returns {Room} the same object when nothing expired */
export function withoutExpiredTyping(room, now) {
  const left = [...room.typing].filter(([, until]) => until > now);
  return left.length === room.typing.size ? room : { ...room, typing: new Map(left) };
}

/** @param {Room} room @param {string} key @param {string} content @param {number} timestamp @returns {Room} */
export function written(room, key, content, timestamp) {
  const pending = { key, content, timestamp, problem: null, tries: 0, slow: false, sent: false, landed: false };
  return { ...room, pending: [...room.pending, pending] };
}

/** @param {Room} room @param {string} key @param {Partial<Pending>} change @returns {Room} */
export function pendingChanged(room, key, change) {
  const pending = room.pending.map((each) => (each.key === key ? { ...each, ...change } : each));
  return { ...room, pending };
}

/** @param {Room} room @param {string} key @returns {Room} */
export function discarded(room, key) {
  return { ...room, pending: room.pending.filter((each) => each.key !== key) };
}

/** The user has the end of the room before their eyes. @param {Room} room @returns {Room} */
export function seen(room) {
  const last = room.messages.at(-1)?.offset ?? room.position;
  return last > room.read ? { ...room, read: last } : room;
}

/** The user comes to this room: what they have not seen stands below a line. @param {Room} room @param {string} user @returns {Room} */
export function opened(room, user) {
  return { ...room, firstNew: unread(room, user) > 0 ? room.read + 1 : null };
}

/**
 * Messages of others that the user has not seen. Offsets have no holes, so this needs no list.
 *
 * @param {Room} room
 * @param {string} user
 */
export function unread(room, user) {
  const last = Math.max(room.position, room.messages.at(-1)?.offset ?? 0);
  const own = room.messages.filter((each) => each.offset > room.read && each.user === user).length;
  return Math.max(0, last - room.read - own);
}

/**
 * @param {Room} room
 * @param {readonly Message[]} messages ascending
 * @returns {Room}
 */
function merge(room, messages) {
  const fresh = messages.filter((each) => each.epoch === room.epoch && !holds(room.messages, each.offset));
  if (fresh.length === 0) return room;
  const last = room.messages.at(-1)?.offset ?? 0;
  const all = [...room.messages, ...fresh];
  if (fresh[0].offset < last) all.sort((one, other) => one.offset - other.offset);
  return advanced({ ...room, messages: all });
}

/** @param {Room} room @returns {Room} with `position` moved over what arrived out of order */
function advanced(room) {
  let { position } = room;
  for (const { offset } of room.messages.slice(indexAfter(room.messages, position))) {
    if (offset !== position + 1) break;
    position = offset;
  }
  return position === room.position ? room : { ...room, position };
}

/** @param {Room} room @returns {Room} */
function trimmed(room) {
  if (room.messages.length <= MAX_KEPT + 200) return room; // in steps, not one by one
  return { ...room, messages: room.messages.slice(-MAX_KEPT), older: true };
}

/** @param {readonly Message[]} messages @param {number} offset */
function holds(messages, offset) {
  return messages[indexAfter(messages, offset) - 1]?.offset === offset;
}

/** Index of the first message after `offset` (binary search). @param {readonly Message[]} messages @param {number} offset */
function indexAfter(messages, offset) {
  let low = 0;
  let high = messages.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (messages[middle].offset <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
