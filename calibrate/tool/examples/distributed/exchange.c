/* What the measurement of distributed layers asks of MPI, behind names that a loader finds whichever MPI it is:
   `mpicc -shared -fPIC -O2 -o libexchange.so exchange.c`. Each returns MPI's error code. */
#include <mpi.h>

int exchange_begin(int *rank, int *ranks) {
  int code = MPI_Init(0, 0);
  if (!code) code = MPI_Comm_rank(MPI_COMM_WORLD, rank);
  if (!code) code = MPI_Comm_size(MPI_COMM_WORLD, ranks);
  return code;
}

int exchange_end(void) { return MPI_Finalize(); }

int exchange_wait(void) { return MPI_Barrier(MPI_COMM_WORLD); }

/* Bytes to every process and from every process, at places of their own. */
int exchange_bytes(const void *sent, const int *bytes_sent, const int *sent_at, void *received,
                   const int *bytes_received, const int *received_at) {
  return MPI_Alltoallv(sent, bytes_sent, sent_at, MPI_BYTE, received, bytes_received, received_at, MPI_BYTE,
                       MPI_COMM_WORLD);
}

/* The largest of all processes' numbers. */
int exchange_most(double own, double *most) {
  return MPI_Allreduce(&own, most, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
}
