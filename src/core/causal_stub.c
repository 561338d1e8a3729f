#include "proto/causal.h"
struct causal *causal_new(void){return 0;}
void causal_free(struct causal *c, void (*drop)(void *item)){}
int causal_follow(struct causal *c, const struct channel_id *channel, uint64_t sequence){return -12;}
void causal_leave(struct causal *c, const struct channel_id *channel){}
void causal_reached(struct causal *c, const struct channel_id *channel, uint64_t sequence){}
bool causal_position(const struct causal *c, const struct channel_id *channel, uint64_t *ret){return false;}
int causal_offer(struct causal *c, uint64_t source, const struct frame_cause *causes, size_t n, void *item,int64_t now_ns){return 1;}
void *causal_next(struct causal *c, int64_t now_ns, bool *ret_early){return 0;}
int64_t causal_wake_ns(const struct causal *c){return INT64_MAX;}
