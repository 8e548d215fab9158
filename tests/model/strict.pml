/* Strict mode on a primary with two replicas, and a split brain: is a lock ever believed to be held by two?
 *
 * Nodes: 0, the old primary; 1, a replica, which leaves it for the new one at some time; 2, which is made
 * primary at any time, and knows nothing then: it had acknowledged nothing. (That is a WAIT 1 of two replicas,
 * and the other one is promoted.) A grant or a renewal counts only after WAIT has succeeded at the primary
 * that has executed it: node 1 follows that one at this moment. The new primary grants nothing before node 1
 * follows it and a ttl has passed since.
 *
 * Faults that can be planted, each of which must be found:
 *   NOGRACE         no wait at the new primary
 *   GRACE_AT_PROMO  the wait counts from the promotion
 *   SHORTGRACE      it is one tick too short
 *   NOWAITRENEW     renewals count without WAIT
 *   READRETRY       a retry of an acquire reads only, and WAIT counts what was written before it on that
 *                   connection: nothing
 */
#ifndef TTL
#define TTL 2
#endif
#ifndef TMAX
#define TMAX 7
#endif
#ifdef SHORTGRACE
#define GRACE (TTL - 1)
#else
#define GRACE TTL
#endif
#define C 2
#ifndef GMAX
#define GMAX 2
#endif
byte now; bit promoted; byte att;            /* att: 0 or 2 (master the replica follows) */
byte own[3], ex[3];  byte grace; bit gset;
byte dl[C+1], st[C+1], sent[C+1], ms[C+1], gen[C+1];
inline believers() { d_step { n_ = 0; k_ = 1; do :: k_ <= C -> if :: now < dl[k_] -> n_++ :: else fi; k_++ :: else -> break od; assert(n_ <= 1); n_ = 0; k_ = 0 } }
#define IDLE(c) st[c] = 0; sent[c] = 0; ms[c] = 0
proctype Client(byte c) { byte n_, k_;
end: do
  :: atomic { st[c] == 0 && now >= dl[c] && gen[c] < GMAX -> dl[c] = 0; sent[c] = now; if :: ms[c] = 0 :: promoted -> ms[c] = 2 fi; st[c] = 1 }
  :: atomic { st[c] == 1 && (own[ms[c]] == 0 || now >= ex[ms[c]]) && (ms[c] == 0 || (gset && now >= grace)) ->
       own[ms[c]] = c; ex[ms[c]] = now + TTL; gen[c]++; st[c] = 2 }
  :: atomic { st[c] == 1 || st[c] == 2 || st[c] == 3 -> IDLE(c) }                       /* refused, lost, WAIT timed out */
#ifdef READRETRY
  :: atomic { st[c] == 2 -> st[c] = 3 }
#else
  :: atomic { st[c] == 2 && att == ms[c] -> st[c] = 3 }                                 /* WAIT ok, reply in flight */
#endif
  :: atomic { st[c] == 3 -> dl[c] = sent[c] + TTL; st[c] = 4; sent[c] = 0; believers() }
  :: atomic { st[c] == 4 && now < dl[c] -> sent[c] = now; st[c] = 5 }                   /* renew on the same master */
  :: atomic { st[c] == 5 && own[ms[c]] == c && now < ex[ms[c]] -> ex[ms[c]] = now + TTL; st[c] = 6 }
#ifdef NOWAITRENEW
  :: atomic { st[c] == 6 -> st[c] = 7 }
#else
  :: atomic { st[c] == 6 && att == ms[c] -> st[c] = 7 }
#endif
  :: atomic { st[c] == 7 -> if :: sent[c] + TTL > dl[c] -> dl[c] = sent[c] + TTL :: else fi; sent[c] = 0; st[c] = 4; believers() }
  :: atomic { st[c] >= 5 && st[c] <= 7 -> st[c] = 4; sent[c] = 0 }                      /* unknown: deadline unchanged */
  :: atomic { st[c] >= 4 && now >= dl[c] -> dl[c] = 0; IDLE(c) }
  :: atomic { st[c] == 4 -> dl[c] = 0; if :: own[ms[c]] == c -> own[ms[c]] = 0 :: skip fi; IDLE(c) }
  od }
proctype Env() { byte n_, k_;
end: do
  :: atomic { now < TMAX -> now++; believers() }
  :: atomic { !promoted -> promoted = 1;
#ifdef GRACE_AT_PROMO
       gset = 1; grace = now + TTL
#endif
#ifdef NOGRACE
       gset = 1; grace = now
#endif
     }
  :: atomic { promoted && att == 0 -> att = 2 }                                         /* the replica moves over */
#if !defined(GRACE_AT_PROMO) && !defined(NOGRACE)
  :: atomic { promoted && att == 2 && !gset -> gset = 1; grace = now + GRACE }            /* first successful WAIT on M2 */
#endif
  od }
init { atomic { byte c = 1; do :: c <= C -> run Client(c); c++ :: else -> break od; run Env() } }
