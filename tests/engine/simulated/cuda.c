/* A CUDA driver on the CPU, as far as rtface uses one, strict about its rules: so that NVIDIA's own Python bindings,
 * which look for libcuda.so.1, run for real without a GPU. "Device" memory is the host's. A stream works only when it is
 * waited for, as late as a real one may. A module is the path of a shared library; its kernels are called a thread at
 * a time. cc -shared -fPIC -Wl,-soname,libcuda.so.1 -o libcuda.so.1 cuda.c -ldl -lpthread
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int R;
enum { OK = 0, INVALID = 1, NO_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, BAD_IMAGE = 200, NO_CONTEXT = 201,
       BAD_HANDLE = 400, NOT_FOUND = 500, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901 };
#define KEPT 4096
#define WORDS 64

typedef struct { char *at; size_t size; int host, alive; } Block;
typedef void (*Kernel)(const int *at, void **given); /* at: block x y z, thread x y z, grid x y z, threads x y z */
typedef struct { int kind; char *to, *from; size_t size; Kernel kernel; int dims[6]; uint64_t words[WORDS]; int count;
                 void *event; int place; } Work;
typedef struct { Work *work; int count; } Graph;
typedef struct { Work *work; int count, recording, spoilt, priority, alive; } Stream;
typedef struct { Kernel call; int sizes[WORDS]; int count; } Function;
typedef struct { Stream *in; int recorded, reached, timed, us, alive; } Event; /* recorded and reached count places */

static Block blocks[KEPT];
static Stream streams[KEPT];
static int initialised, retained, block_count, stream_count, graphs_alive, events_alive, launches, clock_us;
static __thread int depth;
static char failing[64];
static int failing_code, failing_after;

/* For the tests. */
void sim_fail(const char *name, int code, int after) {
    snprintf(failing, sizeof failing, "%s", name);
    failing_code = code;
    failing_after = after;
}
int sim_count(const char *what) {
    int n = 0;
    if (!strcmp(what, "launches")) return launches;
    if (!strcmp(what, "retained")) return retained;
    if (!strcmp(what, "graphs")) return graphs_alive;
    if (!strcmp(what, "events")) return events_alive;
    if (!strcmp(what, "depth")) return depth;
    for (int i = 0; !strcmp(what, "urgent") && i < stream_count; i++) n += streams[i].alive && streams[i].priority == -5;
    for (int i = 0; !strcmp(what, "waiting") && i < stream_count; i++) n += streams[i].alive ? streams[i].count : 0;
    for (int i = 0; !strcmp(what, "blocks") && i < block_count; i++) n += blocks[i].alive;
    for (int i = 0; !strcmp(what, "streams") && i < stream_count; i++) n += streams[i].alive;
    return n;
}

static R refuse(const char *name) {
    if (strcmp(failing, name) || failing_after-- > 0) return OK;
    return failing_code;
}
#define BEGIN                                         \
    do {                                              \
        R refused = refuse(__func__);                 \
        if (refused) return refused;                  \
        if (!initialised) return NOT_INITIALIZED;     \
    } while (0)
#define IN_CONTEXT                        \
    do {                                  \
        BEGIN;                            \
        if (!depth) return NO_CONTEXT;    \
    } while (0)

static Block *holding(const char *at, size_t size) {
    for (int i = 0; i < block_count; i++)
        if (blocks[i].alive && at >= blocks[i].at && at + size <= blocks[i].at + blocks[i].size) return &blocks[i];
    return NULL;
}
static void append(Stream *stream, Work work) {
    stream->work = realloc(stream->work, (stream->count + 1) * sizeof work);
    stream->work[stream->count++] = work;
}
static void run_kernel(Work *work) {
    int *d = work->dims, at[12];
    void *given[WORDS];
    for (int i = 0; i < work->count; i++) given[i] = &work->words[i];
    memcpy(at + 6, d, 6 * sizeof(int));
    for (at[2] = 0; at[2] < d[2]; at[2]++) for (at[1] = 0; at[1] < d[1]; at[1]++) for (at[0] = 0; at[0] < d[0]; at[0]++)
        for (at[5] = 0; at[5] < d[5]; at[5]++) for (at[4] = 0; at[4] < d[4]; at[4]++) for (at[3] = 0; at[3] < d[3]; at[3]++)
            work->kernel(at, given);
}
static R run(Work *work, int count) {
    for (int i = 0; i < count; i++) {
        if (work[i].kind == 0) {
            if (!holding(work[i].to, work[i].size) || !holding(work[i].from, work[i].size)) return 700;
            memcpy(work[i].to, work[i].from, work[i].size);
        } else if (work[i].kind == 1) run_kernel(&work[i]);
        else {
            Event *event = work[i].event;
            event->us = clock_us += 250;
            event->reached = work[i].place;
        }
    }
    return OK;
}
/* As far as a stream must work for an event, and no further: a real one may be as slow. */
static R run_to(Event *event) {
    Stream *s = event->in;
    int done = 0;
    R result = OK;
    while (result == OK && event->reached < event->recorded && done < s->count) result = run(&s->work[done++], 1);
    memmove(s->work, s->work + done, (s->count - done) * sizeof *s->work);
    s->count -= done;
    return result;
}
static Stream *known(void *stream) {
    Stream *s = stream;
    return s >= streams && s < streams + stream_count && s->alive ? s : NULL;
}

R cuInit(unsigned flags) {
    R refused = refuse(__func__);
    if (refused) return refused;
    initialised = 1;
    return flags ? INVALID : OK;
}
R cuDriverGetVersion(int *v) { *v = 13000; return OK; }
R cuDeviceGetCount(int *n) { BEGIN; *n = 1; return OK; }
R cuDeviceGet(int *device, int ordinal) { BEGIN; if (ordinal) return 101; *device = 0; return OK; }
R cuDeviceGetName(char *name, int len, int device) { BEGIN; snprintf(name, len, "Simulated GPU"); return OK; }
R cuDeviceTotalMem(size_t *bytes, int device) { BEGIN; *bytes = (size_t)8 << 30; return OK; }
R cuDeviceGetAttribute(int *value, int attribute, int device) {
    BEGIN;
    const char *integrated = getenv("SIM_INTEGRATED");
    *value = attribute == 75 ? 8 : attribute == 76 ? 9 : attribute == 16 ? 24 : attribute == 18 ? integrated != NULL : 1;
    return OK;
}
R cuDevicePrimaryCtxRetain(void **context, int device) { BEGIN; retained++; *context = (void *)0xC0; return OK; }
R cuCtxPushCurrent(void *context) { BEGIN; if (context != (void *)0xC0) return NO_CONTEXT; depth++; return OK; }
R cuCtxPopCurrent(void **context) { IN_CONTEXT; depth--; *context = (void *)0xC0; return OK; }
R cuCtxGetStreamPriorityRange(int *least, int *greatest) { IN_CONTEXT; *least = 0; *greatest = -5; return OK; }
R cuMemGetInfo(size_t *free, size_t *total) { IN_CONTEXT; *free = (size_t)6 << 30; *total = (size_t)8 << 30; return OK; }

static R allocate(void **to, size_t size, int host) {
    if (!size || block_count == KEPT) return size ? NO_MEMORY : INVALID;
    Block b = {aligned_alloc(256, (size + 255) / 256 * 256), size, host, 1};
    memset(b.at, 0xCD, size);
    blocks[block_count++] = b;
    *to = b.at;
    return OK;
}
static R give_back(void *at, int host) {
    for (int i = 0; i < block_count; i++)
        if (blocks[i].alive && blocks[i].at == at && blocks[i].host == host) {
            blocks[i].alive = 0; /* kept mapped and spoilt: whoever still reads it gets wrong numbers, not a crash */
            memset(blocks[i].at, 0xDD, blocks[i].size);
            return OK;
        }
    return INVALID;
}
R cuMemAlloc(void **to, size_t size) { IN_CONTEXT; return allocate(to, size, 0); }
R cuMemFree(void *at) { IN_CONTEXT; return give_back(at, 0); }
R cuMemHostAlloc(void **to, size_t size, unsigned flags) { IN_CONTEXT; return flags == 2 ? allocate(to, size, 1) : INVALID; }
R cuMemFreeHost(void *at) { IN_CONTEXT; return give_back(at, 1); }
R cuMemHostGetDevicePointer(void **to, void *at, unsigned flags) {
    IN_CONTEXT;
    Block *b = holding(at, 1);
    if (!b || !b->host || flags) return INVALID;
    *to = at;
    return OK;
}

R cuStreamCreateWithPriority(void **to, unsigned flags, int priority) {
    IN_CONTEXT;
    if (flags != 1) return INVALID; /* a blocking stream would wait for everybody's default stream */
    Stream s = {NULL, 0, 0, 0, priority, 1};
    streams[stream_count] = s;
    *to = &streams[stream_count++];
    return OK;
}
R cuStreamDestroy(void *stream) { IN_CONTEXT; Stream *s = known(stream); if (!s) return BAD_HANDLE; s->alive = 0; return OK; }
R cuStreamSynchronize(void *stream) {
    IN_CONTEXT;
    Stream *s = known(stream);
    if (!s) return BAD_HANDLE;
    if (s->recording) { s->spoilt = 1; return CAPTURE_UNSUPPORTED; }
    int count = s->count;
    s->count = 0;
    return run(s->work, count);
}
R cuStreamBeginCapture(void *stream, int mode) {
    IN_CONTEXT;
    Stream *s = known(stream);
    if (!s || s->count) return s ? CAPTURE_UNSUPPORTED : BAD_HANDLE; /* the tests wait first, so that work is told apart */
    s->recording = 1;
    s->spoilt = 0;
    return mode == 2 ? OK : INVALID;
}
R cuStreamEndCapture(void *stream, void **graph) {
    IN_CONTEXT;
    Stream *s = known(stream);
    *graph = NULL;
    if (!s || !s->recording) return INVALID;
    s->recording = 0;
    Graph *g = malloc(sizeof *g);
    g->work = s->work;
    g->count = s->count;
    s->work = NULL;
    s->count = 0;
    if (s->spoilt) return CAPTURE_INVALIDATED;
    graphs_alive++;
    *graph = g;
    return OK;
}
R cuGraphInstantiateWithFlags(void **ready, void *graph, unsigned long long flags) {
    IN_CONTEXT;
    if (!graph || flags) return INVALID;
    Graph *g = malloc(sizeof *g);
    *g = *(Graph *)graph;
    graphs_alive++;
    *ready = g;
    return OK;
}
R cuGraphDestroy(void *graph) { if (!graph) abort(); graphs_alive--; return OK; } /* NULL is what crashes a real one */
R cuGraphExecDestroy(void *ready) { if (!ready) abort(); graphs_alive--; return OK; }
R cuGraphLaunch(void *ready, void *stream) {
    IN_CONTEXT;
    Graph *g = ready;
    Stream *s = known(stream);
    if (!s || !g) return BAD_HANDLE;
    launches++;
    for (int i = 0; i < g->count; i++) append(s, g->work[i]);
    return OK;
}
R cuMemcpyAsync(void *to, void *from, size_t size, void *stream) {
    IN_CONTEXT;
    Stream *s = known(stream);
    if (!s) return BAD_HANDLE;
    if (!holding(to, size) || !holding(from, size)) return INVALID;
    Work w = {0, to, from, size};
    append(s, w);
    return OK;
}
R cuEventCreate(void **event, unsigned flags) {
    IN_CONTEXT;
    if (flags & ~3u) return INVALID; /* 1 waits without spinning, 2 has no time */
    Event *e = calloc(1, sizeof *e);
    e->timed = !(flags & 2);
    e->alive = 1;
    events_alive++;
    *event = e;
    return OK;
}
R cuEventRecord(void *event, void *stream) {
    IN_CONTEXT;
    Stream *s = known(stream);
    Event *e = event;
    if (!s || !e->alive) return BAD_HANDLE;
    if (s->recording) return CAPTURE_UNSUPPORTED; /* it would be a node of the graph, and nothing to wait for */
    Work w = {2};
    e->in = s;
    w.event = e;
    w.place = ++e->recorded;
    append(s, w);
    return OK;
}
R cuEventSynchronize(void *event) {
    IN_CONTEXT;
    Event *e = event;
    if (!e->alive) return BAD_HANDLE;
    if (e->in && e->in->recording) { e->in->spoilt = 1; return CAPTURE_UNSUPPORTED; }
    return e->in ? run_to(e) : OK;
}
R cuEventElapsedTime(float *ms, void *from, void *to) {
    IN_CONTEXT;
    Event *begin = from, *end = to;
    if (!begin->timed || !end->timed) return BAD_HANDLE;
    *ms = (end->us - begin->us) / 1e3f;
    return OK;
}
R cuEventDestroy(void *event) { /* kept, so that whoever still uses it is told */
    IN_CONTEXT;
    Event *e = event;
    if (!e->alive) return BAD_HANDLE;
    e->alive = 0;
    events_alive--;
    return OK;
}

R cuModuleLoadData(void **module, const void *image) {
    IN_CONTEXT;
    *module = dlopen(image, RTLD_NOW | RTLD_LOCAL);
    return *module ? OK : BAD_IMAGE;
}
R cuModuleGetFunction(void **function, void *module, const char *name) {
    IN_CONTEXT;
    char table[128];
    snprintf(table, sizeof table, "%s_sizes", name); /* int[]: bytes of each argument, then 0 */
    int *sizes = dlsym(module, table);
    Function *f = calloc(1, sizeof *f);
    f->call = (Kernel)dlsym(module, name);
    if (!f->call || !sizes) return NOT_FOUND;
    while (sizes[f->count]) { f->sizes[f->count] = sizes[f->count]; f->count++; }
    *function = f;
    return OK;
}
R cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                 void *stream, void **given, void **extra) {
    IN_CONTEXT;
    Function *f = function;
    Stream *s = known(stream);
    if (!s || !f) return BAD_HANDLE;
    if (!gx || !gy || !gz || !bx || !by || !bz || bx * by * bz > 1024 || gy > 65535 || gz > 65535 || extra) return INVALID;
    Work w = {1};
    w.kernel = f->call;
    w.count = f->count;
    int dims[6] = {gx, gy, gz, bx, by, bz};
    memcpy(w.dims, dims, sizeof dims);
    for (int i = 0; i < f->count; i++) memcpy(&w.words[i], given[i], f->sizes[i]); /* the arguments are copied now */
    append(s, w);
    return OK;
}

R cuGetErrorName(R code, const char **name) { *name = "CUDA_ERROR"; return OK; }
R cuGetErrorString(R code, const char **text) {
    *text = code == NO_MEMORY ? "out of memory" : code == 700 ? "an illegal memory access was encountered" : "simulated";
    return OK;
}
R cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags, int *status) {
    *function = dlsym(RTLD_DEFAULT, symbol);
    if (!*function) {
        Dl_info self;
        dladdr((void *)cuInit, &self);
        void *me = dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD);
        *function = me ? dlsym(me, symbol) : NULL;
    }
    if (status) *status = *function ? 0 : 1;
    return *function ? OK : NOT_FOUND;
}
R cuGetProcAddress(const char *symbol, void **function, int version, uint64_t flags) {
    return cuGetProcAddress_v2(symbol, function, version, flags, NULL);
}
