/* Waiting for one lock, first come first served across daemons: tickets and hand-on.
 *
 * Two daemons, one Redis, three clients (1 and 2 at daemon 0, 3 at daemon 1). A client arrives, stamped
 * with Redis' time, waits, is granted, holds, and releases; it may give up while it waits, or die while it
 * holds. A daemon has at most one command about the lock under way:
 *
 *   POLL(w)    for its first waiter w. Granted if w has the lock already (a reply was lost), or if it is
 *              free and no other daemon's ticket is older. Else w's ticket is left.
 *   END(c, n)  c (0: nobody) has released or given up; n is the daemon's next waiter (0: none). The lock,
 *              if it is free now, goes to n unless another's ticket is older. Else n's ticket is left, or
 *              none if there is no n.
 *
 * A free lock is nobody's but the oldest ticket's: there is no claim in the record. Who is told of it (by
 * pub/sub) and does not come, since it is dead, loses its ticket in time.
 *
 * END closes c: a late POLL for it does nothing. A command or its reply may be lost; the daemon sends the
 * same again, and the lost one may still be executed at any later time. Tells (pub/sub) are not in the
 * model: polls alone must suffice.
 *
 * Time is abstract: a dead holder's lease may end at any time, a live one's does not; a ticket may end
 * once its daemon has nobody who waits (it is not refreshed), or is dead.
 *
 * Not in the model: the lease of a live holder ending, retries by the client with one request_id (call
 * ids), modes, and what the daemon believes of its tickets: it polls for its first waiter whenever it can.
 *
 * Checked: exclusion; order (who has the lock is not younger than a waiter of another daemon whose ticket
 * stands); no leak (at rest the record is empty); no waiter stuck (LTL, weak fairness).
 *
 * Planted faults, each found: NOCLOSED (closed ids are not looked at), NOID (a repeated POLL does not find
 * that its waiter has the lock), BARGE (tickets of others are not looked at), NOOWNER (END frees the lock
 * whoever has it).                                                                                       */
#define C 3
#define HOME(c) ((c) == 3 -> 1 : 0)
#ifndef LOSS
#define LOSS 1
#endif
#ifndef DEATHS
#define DEATHS 1                    /* of holders */
#endif
#ifndef KILLS
#define KILLS 1                     /* of daemon 1, with its waiter */
#endif

mtype = { idle, waiting, holding, ending, done, dead };
mtype st[C + 1] = idle;
byte stamp[C + 1];
bool closed[C + 1];
byte clock = 1;

byte holder;                        /* of the record */
byte ticket[2];                     /* stamp of the daemon's first waiter; 0: none */

/* The command under way of each daemon, and one lost copy of any. */
#define POLL 1
#define END 2
byte op[2], who[2], nxt[2];
bool executed[2], granted[2];
byte ghostOp, ghostD, ghostWho, ghostNxt;
byte losses, deaths, kills;
bool alive[2] = true;

inline firstOf(d, out) {
  out = 0; i_ = 1;
  do
  :: i_ <= C ->
     if
     :: st[i_] == waiting && HOME(i_) == d && (out == 0 || stamp[i_] < stamp[out]) -> out = i_
     :: else
     fi; i_++
  :: else -> i_ = 0; break
  od
}

inline install(w) {
  holder = w;
  assert(ticket[1 - HOME(w)] == 0 || stamp[w] < ticket[1 - HOME(w)]);                  /* order */
  ticket[HOME(w)] = 0
}

/* The lock is free and daemon d asks for its waiter w. */
inline handOn(d, w) {
  if
#ifdef BARGE
  :: install(w); g_ = 1
#else
  :: ticket[1 - d] == 0 || stamp[w] < ticket[1 - d] -> install(w); g_ = 1
  :: else -> ticket[d] = stamp[w]
#endif
  fi
}

inline execPoll(d, w) {
  g_ = 0;
  if
#ifndef NOCLOSED
  :: closed[w] -> skip
#endif
#ifndef NOID
  :: holder == w -> g_ = 1
#endif
  :: else ->
     if
     :: holder == 0 -> handOn(d, w)
     :: else -> ticket[d] = stamp[w]
     fi
  fi
}

inline execEnd(d, c, n) {
  g_ = 0;
  n_ = n;
#ifndef NOCLOSED
  if :: n_ != 0 && closed[n_] -> n_ = 0 :: else fi;
#endif
  if
  :: c != 0 -> closed[c] = 1
  :: else
  fi;
  if
  :: n_ != 0 && holder == n_ -> g_ = 1                       /* a repeat */
  :: else ->
     ticket[d] = 0;
     if
#ifdef NOOWNER
     :: holder != 0 -> holder = 0
#else
     :: c != 0 && holder == c -> holder = 0
#endif
     :: else
     fi;
     if
     :: n_ != 0 && holder == 0 -> handOn(d, n_)
     :: n_ != 0 && holder != 0 -> ticket[d] = stamp[n_]
     :: else
     fi
  fi;
  n_ = 0
}

#define BELIEVES(c) (st[c] == holding)
inline exclusion() { assert(BELIEVES(1) + BELIEVES(2) + BELIEVES(3) <= 1) }

proctype Client(byte c) {
  atomic { st[c] == idle -> st[c] = waiting; stamp[c] = clock; clock++ };
  do
  :: atomic { st[c] == waiting && c != 1 && alive[HOME(c)] -> st[c] = ending; break }  /* gives up */
  :: atomic { st[c] == holding && alive[HOME(c)] -> st[c] = ending; break }      /* releases */
  :: atomic { st[c] == holding && !alive[HOME(c)] -> st[c] = dead; break }       /* its lease ends */
  :: atomic { st[c] == holding && deaths < DEATHS -> deaths++; st[c] = dead; break }
  :: atomic { st[c] == done || st[c] == dead -> break }
  :: atomic { (st[c] == waiting || st[c] == ending) && !alive[HOME(c)] -> st[c] = dead; break }
  od
}

#define IS(c, d) (HOME(c) == d && (st[c] == waiting || st[c] == ending))
#define SOMEBODY(d) (IS(1, d) || IS(2, d) || IS(3, d))

/* Sends, and hears replies. What ends goes first. */
proctype Daemon(byte d) {
  byte w_, i_, e_;
end:
  do
  :: atomic { alive[d] && op[d] == 0 && SOMEBODY(d) ->
       e_ = 0; i_ = 1;
       do
       :: i_ <= C -> if :: st[i_] == ending && HOME(i_) == d -> e_ = i_ :: else fi; i_++
       :: else -> i_ = 0; break
       od;
       firstOf(d, w_);
       if
       :: e_ != 0 -> op[d] = END; who[d] = e_; nxt[d] = w_
       :: else -> op[d] = POLL; who[d] = w_
       fi; e_ = 0; w_ = 0 }
  :: atomic { alive[d] && executed[d] ->
       if
       :: op[d] == POLL && granted[d] && st[who[d]] == waiting -> st[who[d]] = holding
       :: op[d] == END ->
          if :: who[d] != 0 -> st[who[d]] = done :: else fi;
          if :: granted[d] && st[nxt[d]] == waiting -> st[nxt[d]] = holding :: else fi
       :: else
       fi;
       exclusion();
       op[d] = 0; who[d] = 0; nxt[d] = 0; executed[d] = 0; granted[d] = 0 }
  od
}

proctype Redis(byte d) {
  byte n_; bool g_;
end:
  do
  :: atomic { op[d] == POLL && !executed[d] -> execPoll(d, who[d]); granted[d] = g_; executed[d] = 1; g_ = 0 }
  :: atomic { op[d] == END && !executed[d] -> execEnd(d, who[d], nxt[d]); granted[d] = g_; executed[d] = 1; g_ = 0 }
  od
}

proctype Troubles() {
  byte d_, n_; bool g_;
end:
  do
  :: atomic { losses < LOSS && op[0] != 0 && ghostOp == 0 -> losses++; d_ = 0; goto lose }
  :: atomic { losses < LOSS && op[1] != 0 && ghostOp == 0 -> losses++; d_ = 1; goto lose }
  :: atomic { ghostOp == POLL -> execPoll(ghostD, ghostWho); g_ = 0; ghostOp = 0; ghostD = 0; ghostWho = 0; ghostNxt = 0 }
  :: atomic { ghostOp == END -> execEnd(ghostD, ghostWho, ghostNxt); g_ = 0; ghostOp = 0; ghostD = 0; ghostWho = 0; ghostNxt = 0 }
  :: atomic { ghostOp != 0 -> ghostOp = 0; ghostD = 0; ghostWho = 0; ghostNxt = 0 }      /* never executed */
  :: atomic { kills < KILLS && ghostOp == 0 -> kills++; alive[1] = 0;                     /* a daemon is killed */
       ghostOp = op[1]; ghostD = 1; ghostWho = who[1]; ghostNxt = nxt[1];
       op[1] = 0; who[1] = 0; nxt[1] = 0; executed[1] = 0; granted[1] = 0;
       if :: st[3] == waiting || st[3] == ending -> st[3] = dead :: else fi }
  od;
lose:
  atomic {
    /* The command, or its reply: the daemon sends it again; a copy may be executed later. */
    ghostOp = op[d_]; ghostD = d_; ghostWho = who[d_]; ghostNxt = nxt[d_];
    executed[d_] = 0; granted[d_] = 0; d_ = 0 };
  goto end
}

#define NOBODY_WAITS(d) (!alive[d] || (op[d] == 0 && !(st[1] == waiting && HOME(1) == d) && !(st[2] == waiting && HOME(2) == d) && !(st[3] == waiting && HOME(3) == d)))

/* The clock of Redis. A daemon that lives after all leaves its ticket again, with the old stamp. */
proctype Expiry(byte d) {
end:
  do
  :: atomic { holder != 0 && HOME(holder) == d && st[holder] == dead -> holder = 0 }
  :: atomic { ticket[d] != 0 && NOBODY_WAITS(d) && ghostOp == 0 -> ticket[d] = 0 }
  od
}

#define QUIET ((st[1] == done || st[1] == dead) && (st[2] == done || st[2] == dead) && (st[3] == done || st[3] == dead))

init {
  atomic { run Client(1); run Client(2); run Client(3); run Daemon(0); run Daemon(1);
           run Redis(0); run Redis(1); run Troubles(); run Expiry(0); run Expiry(1) };
end:
  atomic { timeout -> assert(QUIET && holder == 0 && ticket[0] == 0 && ticket[1] == 0) }
}

ltl served { [] ((st[1] == waiting -> <> (st[1] != waiting)) && (st[3] == waiting -> <> (st[3] != waiting))) }
