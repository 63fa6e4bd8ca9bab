// An exported network (tpcfm export MODEL --format aot-inductor --out DIR) from C++: ./predict DIR
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/torch.h>
#include <fstream>
#include <iostream>
#include <sstream>

int main(int, char** arguments) {
  const std::string folder = arguments[1], example = folder + "/example/";
  const std::map<std::string, torch::ScalarType> kinds{
      {"float32", torch::kFloat32}, {"int64", torch::kInt64}, {"bool", torch::kBool}};
  auto read = [&](const std::string& list) {  // tensors in the order of the list: name, type, shape
    std::vector<torch::Tensor> tensors;
    std::ifstream lines(example + list);
    for (std::string line, name, kind; std::getline(lines, line);) {
      std::istringstream words(line);
      words >> name >> kind;
      const std::vector<int64_t> shape{std::istream_iterator<int64_t>(words), {}};
      const int64_t size = c10::multiply_integers(shape);
      tensors.push_back(torch::from_file(example + name + ".bin", false, size, kinds.at(kind)).view(shape).clone());
    }
    return tensors;
  };
  torch::inductor::AOTIModelPackageLoader network(folder + "/network.aot.pt2");
  const auto found = network.run(read("inputs.txt")), known = read("outputs.txt");
  for (size_t i = 0; i < found.size(); ++i)
    std::cout << "output " << i << ": " << found[i].numel() << " points, differs by at most "
              << (found[i] - known[i]).abs().max().item<double>() << "\n";
}
