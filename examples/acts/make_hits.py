#!/usr/bin/env python3
"""Simulate charged pions in the ACTS generic silicon tracker and write one table row per hit as Parquet.

Every event holds one vertex with a fixed number of charged pions from a particle gun (pT 0.5 to 10 GeV, |eta| < 2.5,
both charges, flat in pT, eta and phi). They are carried through a uniform 2 T field along z with the ACTS fast
simulation, Fatras. Lengths are in mm, times in ns, momenta in GeV. There is no energy column on purpose.

Needs: pip install pyacts==48.1.0 pyarrow
Example: python make_hits.py --events 40 --seed 1 --out hits.parquet --particles-out particles.parquet
"""

import argparse
from importlib.metadata import version
from pathlib import Path

try:
    import acts
    import acts.examples
    from acts.examples import simulation
except ImportError as error:
    raise SystemExit(
        f"make_hits.py needs ACTS ({error}).\n"
        "Install it with: pip install pyacts==48.1.0   (Python 3.11 or newer, Linux or macOS)"
    ) from error

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise SystemExit(f"make_hits.py needs pyarrow ({error}).\nInstall it with: pip install -U pyarrow numpy") from error

PT_RANGE_GEV = (0.5, 10.0)
ETA_MAX = 2.5
FIELD_TESLA = 2.0
BEAM_SPOT_MM = (0.0125, 0.0125, 55.5)  # Gaussian widths of the vertex in x, y, z
LOG_LEVEL = acts.logging.WARNING

HIT_SCHEMA = pa.schema(
    [
        ("event_id", pa.int64()),
        ("x", pa.float32()),
        ("y", pa.float32()),
        ("z", pa.float32()),
        ("t", pa.float32()),
        ("particle_id", pa.uint64()),
        ("geometry_id", pa.uint64()),
        ("volume_id", pa.uint8()),
        ("layer_id", pa.uint16()),
        ("module_id", pa.uint32()),
    ]
)

PARTICLE_SCHEMA = pa.schema(
    [
        ("event_id", pa.int64()),
        ("particle_id", pa.uint64()),
        ("pdg", pa.int32()),
        ("charge", pa.float32()),
        ("px", pa.float32()),
        ("py", pa.float32()),
        ("pz", pa.float32()),
        ("vx", pa.float32()),
        ("vy", pa.float32()),
        ("vz", pa.float32()),
        ("n_hits", pa.int32()),
    ]
)


def pack_barcode(barcode):
    """Pack an ACTS particle barcode into 64 bits.

    ACTS 48 keeps the barcode as five separate numbers. This is the 64-bit layout of earlier releases: primary vertex
    12 bits, secondary vertex 12, particle 16, generation 8, sub-particle 16. The numbers are unique within one event
    and far apart (2**24 between two primary particles).
    """
    fields = (
        (barcode.vertexPrimary, 12),
        (barcode.vertexSecondary, 12),
        (barcode.particle, 16),
        (barcode.generation, 8),
        (barcode.subParticle, 16),
    )
    packed = 0
    for value, bits in fields:
        if value >> bits:
            raise OverflowError(f"barcode field {value} does not fit into {bits} bits: {barcode!r}")
        packed = packed << bits | value
    return packed


class TableCollector(acts.examples.IAlgorithm):
    """Sequencer step that copies the simulated hits and particles of each event into Python rows."""

    def __init__(self, hits_key, particles_key):
        """Connect to the hits and particles the sequencer holds under these names."""
        super().__init__("TableCollector", LOG_LEVEL)
        self.hit_rows = []
        self.particle_rows = []
        self._hits = acts.examples.ReadDataHandle(self, acts.examples.SimHitContainer, "InputHits")
        self._hits.initialize(hits_key)
        self._particles = acts.examples.ReadDataHandle(self, acts.examples.SimParticleContainer, "InputParticles")
        self._particles.initialize(particles_key)

    def execute(self, context):
        """Append the rows of one event, hits in the order ACTS keeps them (by geometry id)."""
        event = context.eventNumber
        nanosecond = acts.UnitConstants.ns
        for hit in self._hits(context.eventStore):
            position, surface = hit.fourPosition, hit.geometryId
            self.hit_rows.append(
                (
                    event,
                    position[0],
                    position[1],
                    position[2],
                    position[3] / nanosecond,
                    pack_barcode(hit.particleId),
                    surface.value,
                    surface.volume,
                    surface.layer,
                    surface.sensitive,
                )
            )
        for particle in self._particles(context.eventStore):
            momentum, vertex = particle.momentum, particle.position
            self.particle_rows.append(
                (
                    event,
                    pack_barcode(particle.particleId),
                    int(particle.pdg.value),
                    particle.charge,
                    momentum[0],
                    momentum[1],
                    momentum[2],
                    vertex[0],
                    vertex[1],
                    vertex[2],
                    particle.numberOfHits,
                )
            )
        return acts.examples.ProcessCode.SUCCESS


def simulate(events, seed, particles):
    """Run the particle gun and Fatras; return the hit rows and the particle rows."""
    units = acts.UnitConstants
    detector = acts.examples.GenericDetector(logLevel=LOG_LEVEL)
    field = acts.ConstantBField(acts.Vector3(0, 0, FIELD_TESLA * units.T))
    random_numbers = acts.examples.RandomNumbers(seed=seed)
    # One thread keeps the rows in event order.
    sequencer = acts.examples.Sequencer(events=events, numThreads=1, logLevel=LOG_LEVEL, outputTimingFile="")
    simulation.addParticleGun(
        sequencer,
        simulation.MomentumConfig(PT_RANGE_GEV[0] * units.GeV, PT_RANGE_GEV[1] * units.GeV, transverse=True),
        simulation.EtaConfig(-ETA_MAX, ETA_MAX, uniform=True),
        simulation.ParticleConfig(particles, acts.PdgParticle.ePionPlus, randomizeCharge=True),
        vtxGen=acts.examples.GaussianVertexGenerator(
            mean=acts.Vector4(0, 0, 0, 0),
            stddev=acts.Vector4(*(width * units.mm for width in BEAM_SPOT_MM), 0),
        ),
        rnd=random_numbers,
    )
    simulation.addFatras(
        sequencer,
        detector.trackingGeometry(),
        field,
        random_numbers,
        outputParticles="particles_simulated",
        outputSimHits="simhits",
    )
    collector = TableCollector("simhits", "particles_simulated")
    sequencer.addAlgorithm(collector)
    sequencer.run()
    return collector.hit_rows, collector.particle_rows


def write_table(rows, schema, path, seed):
    """Write rows as a zstd-compressed Parquet file with units and origin in its metadata."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    schema = schema.with_metadata(
        {
            "source": f"pyacts {version('pyacts')}, GenericDetector, Fatras, seed {seed}",
            "units": "length mm, time ns, momentum GeV",
        }
    )
    arrays = [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, compression="zstd", compression_level=19)


def positive(text):
    """Argument type: an integer above zero."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def seed_number(text):
    """Argument type: an integer that fits the unsigned 64-bit seed of ACTS."""
    value = int(text)
    if not 0 <= value < 2**64:
        raise argparse.ArgumentTypeError(f"must be between 0 and 2**64 - 1, not {value}")
    return value


def main():
    """Read the command line, simulate, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=positive, default=40, help="number of events (default: %(default)s)")
    parser.add_argument("--seed", type=seed_number, default=1, help="random seed (default: %(default)s)")
    parser.add_argument("--particles", type=positive, default=8, help="pions per event (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file for the hits")
    parser.add_argument("--particles-out", type=Path, help="Parquet file for the particles (default: not written)")
    args = parser.parse_args()

    hit_rows, particle_rows = simulate(args.events, args.seed, args.particles)
    write_table(hit_rows, HIT_SCHEMA, args.out, args.seed)
    print(f"{args.out}: {len(hit_rows)} hits in {args.events} events")
    if args.particles_out is not None:
        write_table(particle_rows, PARTICLE_SCHEMA, args.particles_out, args.seed)
        print(f"{args.particles_out}: {len(particle_rows)} particles")


if __name__ == "__main__":
    main()
