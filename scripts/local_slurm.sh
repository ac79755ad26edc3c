#!/usr/bin/env bash
# A Slurm cluster of one node on this machine, for tests: `start` installs it (Debian, Ubuntu) and
# starts it, `stop` ends it, `status` tells. Needs root. Without systemd, cgroups or accounting.
# Exit status 3: it can't be had here, for the reason told.
set -euo pipefail

home="${LOCAL_SLURM:-/var/lib/local-slurm}"
conf="$home/slurm.conf"

cannot() { echo "no local Slurm: $*" >&2; exit 3; }

install_packages() {
    command -v slurmctld slurmd munged sbatch >/dev/null && return
    command -v apt-get >/dev/null || cannot "its packages are installed with apt-get alone"
    export DEBIAN_FRONTEND=noninteractive
    # A package starts its services; without systemd that fails, and with it this is not wanted.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    { apt-get update -q && apt-get install -y -q --no-install-recommends slurm-wlm munge; } \
        >"$home/install.log" 2>&1 || cannot "apt-get failed, see $home/install.log"
}

configure() {
    local cores memory
    cores="$(nproc)"
    memory="$(awk '/^MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)"
    mkdir -p "$home/state" "$home/spool"
    # Its own ports, so that a cluster of the machine's own is left alone. A queue of CPUs, not of
    # whole nodes; jobs of the partition `low` are put back in the queue by those of `main`.
    cat >"$conf" <<CONF
ClusterName=local
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$home/munge.socket
CryptoType=crypto/munge
StateSaveLocation=$home/state
SlurmdSpoolDir=$home/spool
SlurmctldPidFile=$home/slurmctld.pid
SlurmdPidFile=$home/slurmd.pid
SlurmctldLogFile=$home/slurmctld.log
SlurmdLogFile=$home/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
SchedulerParameters=sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
MpiDefault=none
KillWait=5
UnkillableStepTimeout=600
MinJobAge=60
InactiveLimit=0
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$((cores * 4)) RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=10
PartitionName=low Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1
CONF
}

start_munge() {
    [ -s /etc/munge/munge.key ] || { dd if=/dev/urandom bs=1 count=1024 of=/etc/munge/munge.key \
        2>/dev/null; chown munge:munge /etc/munge/munge.key; chmod 400 /etc/munge/munge.key; }
    mkdir -p "$home/munge"
    chown munge:munge "$home/munge"
    chmod 755 "$home" "$home/munge"
    rm -f "$home/munge.socket"
    setpriv --reuid=munge --regid=munge --clear-groups munged --force --key-file=/etc/munge/munge.key \
        --socket="$home/munge/socket" --pid-file="$home/munge/pid" --log-file="$home/munge/log" \
        --seed-file="$home/munge/seed" >/dev/null </dev/null
    ln -sfn "$home/munge/socket" "$home/munge.socket"
}

start() {
    [ "$(id -u)" = 0 ] || cannot "only root can start it"
    mkdir -p "$home"
    if SLURM_CONF="$conf" timeout 10 sinfo -h >/dev/null 2>&1; then
        echo "SLURM_CONF=$conf"
        return
    fi
    install_packages
    configure
    start_munge
    export SLURM_CONF="$conf"
    # They stay; who called this shall not wait for them to close its pipe.
    slurmctld -c -f "$conf" >"$home/start.log" 2>&1 </dev/null
    slurmd -c -f "$conf" -N "$(hostname -s)" >>"$home/start.log" 2>&1 </dev/null
    for _ in $(seq 60); do
        if sinfo -h -o %T 2>/dev/null | grep -q -e idle -e mixed -e allocated; then
            echo "SLURM_CONF=$conf"
            return
        fi
        sleep 0.5
    done
    cannot "it did not come up, see $home/slurmctld.log and $home/slurmd.log"
}

stop() {
    SLURM_CONF="$conf" timeout 20 scancel --user=root 2>/dev/null || true
    for pid in "$home"/slurmctld.pid "$home"/slurmd.pid "$home"/munge/pid; do
        if [ -s "$pid" ]; then kill "$(cat "$pid")" 2>/dev/null || true; fi
    done
}

case "${1:-start}" in
    start) start ;;
    stop) stop ;;
    status) SLURM_CONF="$conf" sinfo ;;
    *) echo "usage: $0 [start|stop|status]" >&2; exit 2 ;;
esac
