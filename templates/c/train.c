/* Fits y = a x + b to noisy points by gradient descent with momentum; prints its error after each epoch. */
#define _DEFAULT_SOURCE
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EPOCHS 27
#define POINTS 64

struct state {
    int epoch;
    double a, b, speed_a, speed_b;
};

static volatile sig_atomic_t wanted = 0;

static void on_signal(int number)
{
    (void)number;
    wanted = 1;
}

/* Another name first, then the one that says that it is whole. */
static void save(const struct state *state)
{
    const char *folder = getenv("CLUSTERTUNE_CHECKPOINTS");
    char part[4096], whole[4096], path[4200];
    if (folder == NULL)
        return;
    snprintf(part, sizeof part, "%s/part-%d", folder, (int)getpid());
    snprintf(whole, sizeof whole, "%s/%d", folder, state->epoch);
    snprintf(path, sizeof path, "%s/state", part);
    mkdir(part, 0700);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(state, sizeof *state, 1, file) != 1 || fclose(file) != 0 || rename(part, whole) != 0)
        perror("no checkpoint");
}

static void load(struct state *state)
{
    const char *folder = getenv("CLUSTERTUNE_CHECKPOINT");
    char path[4200];
    if (folder == NULL)
        return;
    snprintf(path, sizeof path, "%s/state", folder);
    FILE *file = fopen(path, "rb");
    if (file == NULL || fread(state, sizeof *state, 1, file) != 1) {
        perror(path);
        exit(1);
    }
    fclose(file);
}

/* Whether the program is to end once it has saved. */
static int told_to_exit(void)
{
    const char *path = getenv("CLUSTERTUNE_SAVE");
    char text[8] = "";
    FILE *file = path != NULL ? fopen(path, "r") : NULL;
    if (file == NULL)
        return 0;
    if (fgets(text, sizeof text, file) == NULL)
        text[0] = 0;
    fclose(file);
    return strncmp(text, "exit", 4) == 0;
}

int main(int count, char **words)
{
    double rate = 0.1, momentum = 0.0;
    struct state state = {0, 0, 0, 0, 0};
    for (int i = 1; i + 1 < count; i += 2) {
        if (strcmp(words[i], "--rate") == 0)
            rate = atof(words[i + 1]);
        else if (strcmp(words[i], "--momentum") == 0)
            momentum = atof(words[i + 1]);
    }
    signal(SIGUSR1, on_signal);
    setvbuf(stdout, NULL, _IOLBF, 0);
    load(&state);
    while (state.epoch < EPOCHS) {
        double slope_a = 0, slope_b = 0, error = 0;
        for (int i = 0; i < POINTS; i++) {
            double x = (double)i / POINTS, y = 2 * x - 1 + 0.1 * sin(37.0 * i);
            double miss = state.a * x + state.b - y;
            slope_a += 2 * miss * x / POINTS;
            slope_b += 2 * miss / POINTS;
            error += miss * miss / POINTS;
        }
        state.speed_a = momentum * state.speed_a - rate * slope_a;
        state.speed_b = momentum * state.speed_b - rate * slope_b;
        state.a += state.speed_a;
        state.b += state.speed_b;
        state.epoch++;
        usleep(50 * 1000); /* so that there is time to pause it */
        printf("epoch %d error=%.6g\n", state.epoch, error);
        if (wanted) {
            wanted = 0;
            save(&state);
            if (told_to_exit())
                return 0;
        }
    }
    return 0;
}
