"""`DataSetGenerator` with nested topics and an output file."""

from datafast import DataSetGenerator, Tree


def generate(url, output_file):
    generator = DataSetGenerator(
        generation_system_prompt="You are an expert instructor.",
        provider="openai_compatible",
        model_name="m-1",
        api_base=url,
        instructions="Be practical.",
        example_data=[{"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]}],
        output_file=output_file,
    )
    tree = Tree.from_dict({"Sea": ["Tides", "Ice", "Waves"], "Sky": ["Clouds"]})
    return generator.create_data(num_steps=6, batch_size=2, topic_model=tree, sys_msg=True).report
